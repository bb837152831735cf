//! Softmax, along lines of 256 elements.

use optimized::SoftmaxOptions;

benches::layer!(Softmax, SoftmaxOptions::new().dim(-1), [1024, 65_536, 1 << 20], |size| benches::tensor(&[
    size / 256,
    256
]));
