//! CrossEntropyLoss, the mean, of 1024 classes.

use optimized::{CrossEntropyLossOptions, Tensor};

benches::loss!(CrossEntropyLoss, CrossEntropyLossOptions::new(), [4096, 65_536, 1 << 20], |size: usize| {
    let classes = Tensor::from_fn(&[size / 1024], |item| (389 * item[0] % 1024) as i64).unwrap();
    (benches::tensor(&[size / 1024, 1024]), classes)
});
