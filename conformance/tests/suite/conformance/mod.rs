//! One file a question.

#[macro_use]
#[path = "../../shared/mod.rs"]
mod shared;

/// One test for each layer that both crates have.
macro_rules! for_each_layer_of_both {
    ($($check:ident),+ $(,)?) => {
        tests!([$($check),+] {
            linear "Linear",
            relu "ReLU",
            sigmoid "Sigmoid",
            batch_norm2d "BatchNorm2d",
            mse_loss "MSELoss",
            log_sigmoid "LogSigmoid",
            tanh "Tanh",
            leaky_relu "LeakyReLU",
            elu "ELU",
            l1_loss "L1Loss",
            softmax "Softmax",
            embedding "Embedding",
            cross_entropy_loss "CrossEntropyLoss",
            bce_loss "BCELoss",
            bce_with_logits_loss "BCEWithLogitsLoss",
            conv2d "Conv2d",
            max_pool2d "MaxPool2d",
            rnn "RNN",
            gru "GRU",
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
mod winograd;
mod witnesses;

pub use shared::seed;

/// How many random cases each test draws: `LAYERPROOF_CASES`, or 512.
pub fn draws() -> u32 {
    std::env::var("LAYERPROOF_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(512)
}

/// The layers that both crates have.
pub fn layers_of_both() -> impl Iterator<Item = &'static str> {
    conformance::LAYERS.iter().copied().filter(|layer| !optimized::STILL_TO_COME.contains(layer))
}
