//! Functions of many elements at once, each with its stated error.

mod exp;
mod exp_m1;
mod ln;
mod sigmoid;
mod sixteenths;
mod tanh;

pub(crate) use exp::Exp;
pub use exp::{EXP_ULPS_F32, EXP_ULPS_F64, exp};
pub use exp_m1::{EXP_M1_ULPS_F32, EXP_M1_ULPS_F64, exp_m1};
pub(crate) use ln::Ln;
pub use ln::{LN_1P_ULPS_F32, LN_1P_ULPS_F64, LN_ULPS_F32, LN_ULPS_F64, ln, ln_1p};
pub(crate) use sigmoid::{Sigmoid, SigmoidBackward};
pub(crate) use tanh::{HyperbolicTangent, Tanh, TanhBackward};
pub use tanh::{TANH_ULPS_F32, TANH_ULPS_F64, tanh};

pub(crate) mod registers {
    //! The functions of registers, for kernels that need more than one.

    pub use super::exp::{exp_of_any as exp, exp_without_overflow, half_exp_of_sums};
    pub use super::exp_m1::exp_m1_of_any as exp_m1;
    pub use super::ln::{ln_1p_of_any as ln_1p, ln_of_any as ln};
    pub use super::sigmoid::sigmoid_of_any as sigmoid;
    pub use super::tanh::tanh_of_any as tanh;
}

use crate::kernels::elementwise::{self, Map};
use crate::memory::Output;
use crate::simd::{Group, Isa, Lanes, Simd};
use crate::{Float, Threads};
use vocabulary::{Error, Result};

/// The polynomial of `x` with these coefficients, the highest power first.
#[inline(always)]
fn polynomial<T: Lanes, S: Simd, const N: usize>(coefficients: &[T], x: Group<T, S, N>) -> Group<T, S, N> {
    let mut p = x.full(coefficients[0]);
    for &coefficient in &coefficients[1..] {
        p = p.multiply_add(x, coefficient);
    }
    p
}

/// A function of each element, on the caller's thread.
fn apply<T: Float>(name: &str, f: impl Map<T>, isa: Isa, input: &[T], output: &mut [T]) -> Result<()> {
    if !isa.is_available() {
        return Err(Error::new(name, "isa", format_args!("is {isa}"), "one that this machine has"));
    }
    if input.len() != output.len() {
        let got = format!("has {} elements", output.len());
        return Err(Error::new(name, "output", got, format_args!("{}, the input's", input.len())));
    }
    elementwise::map(f, (isa, Threads::ONE), input, Output::Given(output));
    Ok(())
}
