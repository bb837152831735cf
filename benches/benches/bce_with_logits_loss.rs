//! BCEWithLogitsLoss, the mean.

use optimized::BCEWithLogitsLossOptions;

benches::loss!(BCEWithLogitsLoss, BCEWithLogitsLossOptions::new(), [1024, 65_536, 1 << 20], |size| (
    benches::tensor(&[size]),
    benches::tensor(&[size]).map(|x| 0.25 * (x + 2.0))
));
