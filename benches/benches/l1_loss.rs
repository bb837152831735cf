//! L1Loss, the mean.

use optimized::L1LossOptions;

benches::loss!(L1Loss, L1LossOptions::new(), [1024, 65_536, 1 << 20], |size| (
    benches::tensor(&[size]),
    benches::tensor(&[size]).map(|x| 0.5 - x)
));
