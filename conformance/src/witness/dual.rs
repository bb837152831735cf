//! Exact derivatives: dual numbers through the reference's forward.

use super::{Coordinate, Tangent, Testimony, evaluate};
use crate::bounded::{Declaration, under};
use crate::case_file::Case;
use crate::tensors::DType;
use reference::Dual;
use vocabulary::Result;

/// ∂F/∂x by dual numbers in double precision; the bound is that of the same derivative over bounded numbers.
///
/// # Errors
/// Where the layer refuses the case.
pub fn dual(case: &Case, coordinate: &Coordinate) -> Result<Testimony> {
    let derivative = evaluate(case, coordinate, |x| Dual::new(x, 1.0))?.derivative();
    let bounded = || evaluate(case, coordinate, Tangent::<false>::coordinate).map(Tangent::derivative);
    let bounded = under(DType::F64, Declaration::LITERAL, bounded).0?;
    // The centre of the bound is itself only a computation in double precision: from it to the dual number's derivative,
    // and from that to the exact one, it is once the bound each.
    let bound = bounded.bound() + (bounded.value() - derivative).abs();
    Ok(Testimony { derivative, bound })
}
