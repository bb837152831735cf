//! MSELoss, the mean.

use optimized::MSELossOptions;

benches::loss!(MSELoss, MSELossOptions::new(), [1024, 65_536, 1 << 20], |size| (
    benches::tensor(&[size]),
    benches::tensor(&[size]).map(|x| 0.5 - x)
));
