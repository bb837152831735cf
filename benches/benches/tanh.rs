//! Tanh.

use optimized::TanhOptions;

benches::layer!(Tanh, TanhOptions::new(), [1024, 65_536, 1 << 20], |size| benches::tensor(&[size]));
