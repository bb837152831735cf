//! `cases`: writes generated cases.

use super::{CasesArguments, Ending, invalid, print, write};
use crate::bounded::Declaration;
use crate::case_file::{Case, CaseFile, Invalid};
use crate::generators;
use crate::implementation::{Implementation, Variant};
use crate::implementations::Reference;
use crate::layers;
use crate::replay::{Conclusion, Trial};
use indicatif::ProgressBar;
use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

pub(super) fn cases(arguments: &CasesArguments) -> Result<Ending, Invalid> {
    let CasesArguments { layer, count, seed, out, shared } = arguments;
    shared.selection()?;
    let memory_limit = shared.memory_limit;
    super::layers(std::slice::from_ref(layer))?;
    let mut runner = generators::runner(*seed);
    let progress = ProgressBar::new(*count).with_style(super::check::style());
    let mut cases = Vec::new();
    let mut bytes = 0_u128;
    for number in 0..*count {
        let dtype = if number % 2 == 0 { crate::DType::F32 } else { crate::DType::F64 };
        let strategy = layers::generator(layer, dtype).ok_or_else(|| invalid("the layer has no generator"))?;
        let mut case = draw(&strategy, &mut runner)?;
        case.name = format!("generated_{dtype}_{number}");
        case.head.insert("name".into(), Value::String(case.name.clone()));
        case.head.insert("source".into(), Value::String(format!("seed {seed}")));
        generators::record(&mut case).map_err(|error| invalid(error.to_string()))?;
        bytes += layers::numbers(&case).saturating_mul(8) + 1024;
        if bytes > u128::from(memory_limit) {
            return Err(invalid(format!(
                "{count} cases would take more than the memory limit of {memory_limit} bytes"
            )));
        }
        cases.push(case);
        progress.inc(1);
    }
    progress.finish_and_clear();
    let generator = format!("Layerproof reference {} in double precision, seed {seed}", env!("CARGO_PKG_VERSION"));
    write(out, &CaseFile { generator, cases }.to_bytes()?)?;
    if let Some(path) = &shared.json {
        write(path, format!("{:#}\n", json!({"layer": layer, "count": count, "seed": seed})).as_bytes())?;
    }
    print(format_args!("wrote {count} cases of {layer}, drawn from seed {seed}, to {}", out.display()));
    Ok(Ending::Good)
}

/// How often a case is drawn again.
const DRAWS: usize = 100;

/// A case by which a stranger's results can be judged: where the bounds of a right one would say too little, another is drawn.
fn draw(strategy: &BoxedStrategy<Case>, runner: &mut TestRunner) -> Result<Case, Invalid> {
    for _ in 0..DRAWS {
        let tree = strategy.new_tree(runner).map_err(|reason| invalid(format!("no case was drawn: {reason}")))?;
        let case = tree.current();
        let outcome = Reference.run(&case, &Variant::default());
        if !matches!(
            Trial::new(&case, "").judge(&outcome, Declaration::foreign, true).conclusion,
            Conclusion::Mistrusted(_)
        ) {
            return Ok(case);
        }
    }
    Err(invalid(format!("the bounds of {DRAWS} cases in a row say too little")))
}
