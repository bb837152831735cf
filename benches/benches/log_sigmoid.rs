//! LogSigmoid.

use optimized::LogSigmoidOptions;

benches::layer!(LogSigmoid, LogSigmoidOptions::new(), [1024, 65_536, 1 << 20], |size| benches::tensor(&[size]));
