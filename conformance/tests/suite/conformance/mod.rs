//! One file a question.

/// One test for each layer: `layers!(check)` calls `check("Linear")` and so on.
macro_rules! for_each_layer {
    ($($check:ident),+ $(,)?) => {$(
        mod $check {
            #[test]
            fn linear() {
                super::$check("Linear");
            }
            #[test]
            fn relu() {
                super::$check("ReLU");
            }
            #[test]
            fn sigmoid() {
                super::$check("Sigmoid");
            }
            #[test]
            fn batch_norm2d() {
                super::$check("BatchNorm2d");
            }
            #[test]
            fn mse_loss() {
                super::$check("MSELoss");
            }
        }
    )+};
}

mod bounds;
mod command_line;
mod coverage;
mod faults;
mod forms;
mod kinks;
mod large;
mod malformed;
mod properties;
mod recorded;
mod signatures;
mod witnesses;

/// The seed of everything random here: `LAYERPROOF_SEED`, or 0. It is printed where a test fails.
pub fn seed() -> u64 {
    let seed = std::env::var("LAYERPROOF_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    println!("seed {seed} (set LAYERPROOF_SEED to draw others)");
    seed
}
