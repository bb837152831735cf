//! LeakyReLU.

use optimized::LeakyReLUOptions;

benches::layer!(LeakyReLU, LeakyReLUOptions::new(), [1024, 65_536, 1 << 20], |size| benches::tensor(&[size]));
