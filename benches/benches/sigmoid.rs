//! Sigmoid.

use optimized::SigmoidOptions;

benches::layer!(Sigmoid, SigmoidOptions::new(), [1024, 65_536, 1 << 20], |size| benches::tensor(&[size]));
