//! candle's side of the race: a process that stays alive, prepares a layer when it is told to, computes it, and times it.
//!
//! `benches/race/torch_child.py` says what requests and replies are. Beside an error there is `{"not_there": "why"}`: candle
//! has no such layer, or cannot go backward through it. The number of threads is the environment's, and stays.

mod layer;
mod memory;

use layer::{Direction, Layer, Refusal};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Instant;

/// A layer and its operands.
#[derive(Debug, Deserialize)]
struct Preparation {
    file: PathBuf,
    layer: String,
    options: Map<String, Json>,
    mode: String,
    target_gradient: bool,
}

/// What may be asked for.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
enum Request {
    Prepare(Preparation),
    Threads {},
    Compute {
        file: PathBuf,
    },
    Time {
        direction: Direction,
        calls: usize,
        warm: bool,
    },
    Peak {
        direction: Direction,
        #[serde(flatten)]
        preparation: Preparation,
    },
}

impl Preparation {
    fn layer(&self) -> Result<Layer, Refusal> {
        let tensors = candle_core::safetensors::load(&self.file, &candle_core::Device::Cpu)?;
        Layer::new(&self.layer, &self.options, self.mode == "train", self.target_gradient, tensors)
    }
}

/// Carries out a request: the reply. `prepared` is the layer of the last preparation.
fn carry_out(request: Request, prepared: &mut Option<Layer>) -> Result<Json, Refusal> {
    let layer = |prepared: &Option<Layer>| match prepared {
        Some(layer) => Ok(layer.clone()),
        None => Err(Refusal::Error("no layer is prepared".to_owned())),
    };
    match request {
        Request::Prepare(preparation) => {
            *prepared = None;
            *prepared = Some(preparation.layer()?);
            Ok(json!({}))
        }
        Request::Threads {} => Ok(json!({})),
        Request::Compute { file } => {
            candle_core::safetensors::save(&layer(prepared)?.compute()?, file)?;
            Ok(json!({}))
        }
        Request::Time { direction, calls, warm } => {
            let layer = layer(prepared)?;
            let call = layer.call(direction)?;
            if warm {
                call()?;
            }
            let start = Instant::now();
            for _ in 0..calls {
                call()?;
            }
            Ok(json!({"seconds": start.elapsed().as_secs_f64()}))
        }
        Request::Peak { direction, preparation } => {
            let layer = preparation.layer()?;
            let grown = memory::peak(|| layer.call(direction)?())?;
            Ok(json!({"mb": grown}))
        }
    }
}

fn main() -> std::io::Result<()> {
    let (mut replies, mut prepared) = (std::io::stdout().lock(), None);
    writeln!(replies, "{}", json!({"candle": "0.11"}))?;
    for line in std::io::stdin().lock().lines() {
        let request = serde_json::from_str(&line?).map_err(|error| Refusal::Error(error.to_string()));
        let reply = request.and_then(|request| carry_out(request, &mut prepared));
        let reply = reply.unwrap_or_else(|refusal| match refusal {
            Refusal::Error(reason) => json!({"error": reason}),
            Refusal::NotThere(reason) => json!({"not_there": reason}),
        });
        writeln!(replies, "{reply}")?;
        replies.flush()?;
    }
    Ok(())
}
