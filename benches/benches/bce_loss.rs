//! BCELoss, the mean.

use optimized::BCELossOptions;

benches::loss!(BCELoss, BCELossOptions::new(), [1024, 65_536, 1 << 20], |size| (
    benches::tensor(&[size]).map(|x| 0.25 * (x + 2.0)),
    benches::tensor(&[size]).map(|x| 0.125 * (x + 2.0))
));
