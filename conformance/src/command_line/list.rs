//! `list`: what there is.

use super::{Ending, ListArguments, print, write};
use crate::case_file::Invalid;
use crate::declarations::{Declared, TABLE};
use crate::implementations::ours;
use crate::layers;
use optimized::Isa;
use serde_json::{Value, json};

pub(super) fn list(arguments: &ListArguments) -> Result<Ending, Invalid> {
    arguments.shared.selection()?;
    let isas: Vec<String> = Isa::available().iter().map(Isa::to_string).collect();
    let implementations = ours().map(|implementation| implementation.name().to_owned());
    print("layers, with PyTorch's arguments and the algorithms of optimized:");
    let mut entries = Vec::new();
    for layer in layers::NAMES {
        let (signature, algorithms) = (layers::signature(layer), optimized::algorithms(layer));
        let still_to_come = optimized::STILL_TO_COME.contains(layer);
        let of_optimized = if still_to_come { "still to come".to_owned() } else { algorithms.join(", ") };
        print(format_args!("    {layer}({signature})  [{of_optimized}]"));
        entries.push(json!({
            "name": layer, "arguments": signature, "algorithms": algorithms, "still_to_come": still_to_come,
        }));
    }
    print(format_args!("implementations: {}", implementations.join(", ")));
    print("what they declare of their arithmetic:");
    let mut declared = Vec::new();
    for line in TABLE {
        let layer = line.layer.unwrap_or("every other layer");
        let Declared { implementation, formulas, reason, .. } = line;
        for dtype in line.dtypes() {
            let (accumulators, functions) = (line.accumulators(dtype), line.functions(dtype));
            print(format_args!(
                "    {implementation}, {layer}, {dtype}: {accumulators}; {functions}; formulas: {formulas}"
            ));
            declared.push(json!({
                "implementation": implementation, "layer": line.layer, "type": dtype.to_string(),
                "accumulators": accumulators, "functions": functions, "formulas": formulas, "reason": reason,
            }));
        }
        print(format_args!("        for {reason}"));
    }
    print(format_args!("instruction sets of this machine: {}", isas.join(", ")));
    if let Some(path) = &arguments.shared.json {
        let document: Value = json!({
            "layers": entries, "implementations": implementations, "instruction_sets": isas, "declarations": declared,
        });
        write(path, format!("{document:#}\n").as_bytes())?;
    }
    Ok(Ending::Good)
}
