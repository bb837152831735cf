//! One file a question.

/// One test for each of these layers: `tests!(check; linear "Linear")` has `check::linear` call `check("Linear")`.
macro_rules! tests {
    ([$($check:ident),+] $layers:tt) => {
        $(tests!(@one $check $layers);)+
    };
    (@one $check:ident { $($name:ident $layer:literal),+ $(,)? }) => {
        mod $check {
            $(
                #[test]
                fn $name() {
                    super::$check($layer);
                }
            )+
        }
    };
}

/// One test for each layer that both crates have.
macro_rules! for_each_layer_of_both {
    ($($check:ident),+ $(,)?) => {
        tests!([$($check),+] {
            linear "Linear",
            relu "ReLU",
            sigmoid "Sigmoid",
            batch_norm2d "BatchNorm2d",
            mse_loss "MSELoss",
        });
    };
}

/// One test for each layer.
macro_rules! for_each_layer {
    ($($check:ident),+ $(,)?) => {
        tests!([$($check),+] {
            linear "Linear",
            relu "ReLU",
            sigmoid "Sigmoid",
            batch_norm2d "BatchNorm2d",
            mse_loss "MSELoss",
            conv2d "Conv2d",
            max_pool2d "MaxPool2d",
            log_sigmoid "LogSigmoid",
            tanh "Tanh",
            leaky_relu "LeakyReLU",
            elu "ELU",
            softmax "Softmax",
            rnn "RNN",
            gru "GRU",
            embedding "Embedding",
            l1_loss "L1Loss",
            cross_entropy_loss "CrossEntropyLoss",
            bce_loss "BCELoss",
            bce_with_logits_loss "BCEWithLogitsLoss",
        });
    };
}

mod arguments;
mod bounded_operations;
mod bounds;
mod calls;
mod command_line;
mod coverage;
mod forms;
mod function_errors;
mod initialisation;
mod invalid;
mod judging;
mod kinks;
mod large;
mod malformed;
mod option_pairs;
mod parameters;
mod properties;
mod recorded;
mod recurrence;
mod signatures;
mod witnesses;

/// The seed of everything random here: `LAYERPROOF_SEED`, or 0. It is printed where a test fails.
pub fn seed() -> u64 {
    let seed = std::env::var("LAYERPROOF_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    println!("seed {seed} (set LAYERPROOF_SEED to draw others)");
    seed
}

/// How many random cases each test draws: `LAYERPROOF_CASES`, or 512.
pub fn draws() -> u32 {
    std::env::var("LAYERPROOF_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(512)
}

/// The layers that both crates have.
pub fn layers_of_both() -> impl Iterator<Item = &'static str> {
    conformance::LAYERS.iter().copied().filter(|layer| !optimized::STILL_TO_COME.contains(layer))
}
