//! What the suite and the fault catalogue share.

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

/// The seed of everything random here: `LAYERPROOF_SEED`, or 0. It is printed where a test fails.
pub fn seed() -> u64 {
    let seed = std::env::var("LAYERPROOF_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    println!("seed {seed} (set LAYERPROOF_SEED to draw others)");
    seed
}
