//! Functions of many elements at once, each with its stated error.

mod exp;
mod sigmoid;

pub(crate) use exp::Exp;
pub use exp::{EXP_ULPS_F32, EXP_ULPS_F64, exp};
pub(crate) use sigmoid::{Sigmoid, SigmoidBackward};
