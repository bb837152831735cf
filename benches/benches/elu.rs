//! ELU.

use optimized::ELUOptions;

benches::layer!(ELU, ELUOptions::new(), [1024, 65_536, 1 << 20], |size| benches::tensor(&[size]));
