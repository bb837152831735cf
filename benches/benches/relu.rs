//! ReLU.

use optimized::ReLUOptions;

benches::layer!(ReLU, ReLUOptions::new(), [1024, 65_536, 1 << 20], |size| benches::tensor(&[size]));
