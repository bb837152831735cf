//! The least that a layer has to do: operations, and bytes to and from memory.
//!
//! Bytes are those of operands and results, each moved once; a recurrent layer's hidden weight moves once a step. Operations are
//! those of matrix products and convolutions, a multiply-add being two, as if a convolution were computed directly; other
//! layers' are taken to be hidden behind their bytes.

use super::contender::Direction;
use super::limits::Limits;
use super::workload::Workload;
use vocabulary::{StateDict, StateTensor};

/// The work of one call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Work {
    pub flops: f64,
    /// Bytes that are moved.
    pub bytes: f64,
    /// Bytes that are touched.
    pub working_set: f64,
}

/// How many elements a tensor has, and how many bytes these take.
fn elements(tensor: Option<&StateTensor>) -> f64 {
    tensor.map_or(0.0, |tensor| tensor.shape().iter().product::<usize>() as f64)
}

fn bytes(tensor: Option<&StateTensor>) -> f64 {
    let size = tensor.map_or(0, |tensor| if tensor.dtype() == "F32" { 4 } else { 8 });
    elements(tensor) * size as f64
}

impl Work {
    /// The work of a workload, of whose operands and results the shapes count.
    pub(super) fn of(workload: &Workload, operands: &StateDict, results: &StateDict, direction: Direction) -> Self {
        let operand = |name: &str| operands.get(name);
        let input = bytes(operand("in.input"));
        let output = bytes(results.get("out.output"));
        let weights = || operands.iter().filter(|(name, _)| name.starts_with("state."));
        let parameters: f64 = weights().map(|(_, tensor)| bytes(Some(tensor))).sum();
        let backward = direction == Direction::Backward;
        let only = |bytes: f64| Self { flops: 0.0, bytes, working_set: bytes };
        let layer = workload.layer.as_str();
        match layer {
            "Linear" | "Conv2d" => {
                let weight = operand("state.weight");
                let outputs = weight.and_then(|weight| weight.shape().first().copied()).unwrap_or(1).max(1);
                let products = elements(results.get("out.output")) * elements(weight) / outputs as f64;
                // Back: products with the weight for the input, and with the input for the weight.
                let times = if backward { 2.0 } else { 1.0 };
                let bytes = times * (input + parameters) + output;
                Self { flops: times * 2.0 * products, bytes, working_set: bytes }
            }
            "RNN" | "GRU" => {
                let (length, batch) = workload.steps();
                let is_weight = |name: &str| name.starts_with("state.weight");
                let products: f64 = weights().filter(|(name, _)| is_weight(name)).map(|(_, w)| elements(Some(w))).sum();
                let hidden = weights().filter(|(name, _)| name.starts_with("state.weight_hh"));
                let hidden: f64 = hidden.map(|(_, weight)| bytes(Some(weight))).sum();
                let times = if backward { 2.0 } else { 1.0 };
                let touched = times * (input + parameters) + output;
                let flops = times * 2.0 * (length * batch) as f64 * products;
                Self { flops, bytes: touched + (length.max(1) - 1) as f64 * hidden, working_set: touched }
            }
            // Rows are read, or added up, where indices say so; a dense gradient is as large as the weight.
            "Embedding" if backward && !workload.flag("sparse") => {
                only(input + output + bytes(operand("state.weight")))
            }
            "Embedding" => only(input + 2.0 * output),
            // Where the maxima stand, which a pass remembers, fits in a byte: the tap of a window of fewer than 255. Indices have 8.
            "MaxPool2d" if direction != Direction::Inference => {
                let mark = if workload.flag("return_indices") { 8.0 } else { 1.0 };
                only(input + output + mark * elements(results.get("out.output")))
            }
            loss if loss.ends_with("Loss") => {
                let target = bytes(operand("in.target"));
                let gradients = input + if workload.target_gradient { target } else { 0.0 };
                only(input + target + output + if backward { gradients } else { 0.0 })
            }
            // Input or output, and the gradients of both.
            _ if backward => only(2.0 * input + output),
            _ => only(input + output),
        }
    }

    /// The seconds that it takes at the machine's limits.
    pub(super) fn least_seconds(&self, limits: &Limits, double: bool) -> f64 {
        let peak = if double { limits.flops_f64 } else { limits.flops_f32 };
        (self.flops / peak).max(self.bytes / limits.bandwidth(self.working_set as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocabulary::Tensor;

    fn tensors(shapes: &[(&str, &[usize])]) -> StateDict {
        let mut state = StateDict::new();
        for (name, shape) in shapes {
            state.insert(*name, Tensor::full(shape, 0.0_f32).unwrap());
        }
        state
    }

    fn workload(layer: &str, input: &str) -> Workload {
        let text = format!(r#"{{"name": "w", "layer": "{layer}", "options": {{}}, "input": {input}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_convolution_is_its_products() {
        let operands = tensors(&[("in.input", &[2, 6, 5, 5]), ("state.weight", &[8, 3, 3, 3]), ("state.bias", &[8])]);
        let results = tensors(&[("out.output", &[2, 8, 3, 3])]);
        let conv = workload("Conv2d", "[2, 6, 5, 5]");
        let forward = Work::of(&conv, &operands, &results, Direction::Forward);
        assert_eq!(forward.flops, (2 * 2 * 8 * 9 * 27) as f64);
        assert_eq!(forward.bytes, (4 * (300 + 216 + 8 + 144)) as f64);
        let backward = Work::of(&conv, &operands, &results, Direction::Backward);
        assert_eq!(backward.flops, 2.0 * forward.flops);
    }

    #[test]
    fn a_recurrent_layer_reads_its_hidden_weight_at_every_step() {
        let shapes: [(&str, &[usize]); 3] =
            [("in.input", &[10, 2, 3]), ("state.weight_ih_l0", &[4, 3]), ("state.weight_hh_l0", &[4, 4])];
        let work = Work::of(
            &workload("RNN", "[10, 2, 3]"),
            &tensors(&shapes),
            &tensors(&[("out.output", &[10, 2, 4])]),
            Direction::Inference,
        );
        assert_eq!(work.flops, (2 * 10 * 2 * (12 + 16)) as f64);
        assert_eq!(work.working_set, (4 * (60 + 12 + 16 + 80)) as f64);
        assert_eq!(work.bytes, work.working_set + (9 * 4 * 16) as f64);
    }

    #[test]
    fn the_longer_of_both_limits_counts() {
        let limits = Limits { threads: 1, flops_f32: 100.0, flops_f64: 50.0, copy: vec![(1, 10.0)] };
        let work = |flops, bytes| Work { flops, bytes, working_set: bytes };
        assert_eq!(work(1000.0, 20.0).least_seconds(&limits, false), 10.0);
        assert_eq!(work(1000.0, 20.0).least_seconds(&limits, true), 20.0);
        assert_eq!(work(1000.0, 200.0).least_seconds(&limits, false), 20.0);
    }

    #[test]
    fn other_layers_are_their_bytes() {
        let of = |layer: &str, direction| {
            let operands = tensors(&[("in.input", &[4, 4]), ("in.target", &[4, 4])]);
            Work::of(&workload(layer, "[4, 4]"), &operands, &tensors(&[("out.output", &[4, 4])]), direction).bytes
        };
        assert_eq!(of("ReLU", Direction::Inference), 128.0);
        assert_eq!(of("ReLU", Direction::Backward), 192.0);
        assert_eq!(of("MSELoss", Direction::Forward), 192.0);
        assert_eq!(of("MSELoss", Direction::Backward), 256.0);
        assert_eq!(of("MaxPool2d", Direction::Inference), 128.0);
        assert_eq!([of("MaxPool2d", Direction::Forward), of("MaxPool2d", Direction::Backward)], [144.0; 2]);
    }
}
