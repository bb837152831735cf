//! A step of GRU.
//!
//! The plain loops are, with (a_r, a_z, a_n) = W_ih·x + b_ih and (b_r, b_z, q) = W_hh·h + b_hh,
//!
//! ```text
//! r = σ(a_r + b_r);  z = σ(a_z + b_z);  n = tanh(a_n + r·q);  h' = (1 − z)·n + z·h
//! ```
//!
//! and back
//!
//! ```text
//! dz = dh'·(h − n);  dn = dh'·(1 − z);  da_n = dn·(1 − n²);  dr = da_n·q
//! da_r = dr·(1 − r)·r;  da_z = dz·(1 − z)·z;  dq = r·da_n;  dh = z·dh' + W_hhᵀ·(da_r, da_z, dq)
//! ```
//!
//! and so are these, a register at a time; but where dh' is not finite, dn is dh' − dh'·z, as PyTorch has it.

use super::{Cell, StepGradients};
use crate::counters::Counter;
use crate::math::{HyperbolicTangent, registers};
use crate::simd::{Group, Simd};

/// Gates in the order r, z, n; what is kept are these, and q.
#[derive(Debug, Clone, Copy)]
pub struct Gated;

impl<T: HyperbolicTangent> Cell<T, 3, 4> for Gated {
    const COUNTER: Counter = Counter::Gru;

    #[inline(always)]
    fn step<S: Simd, const N: usize>(
        self,
        [a_r, a_z, a_n]: [Group<T, S, N>; 3],
        [b_r, b_z, q]: [Group<T, S, N>; 3],
        before: Group<T, S, N>,
    ) -> (Group<T, S, N>, [Group<T, S, N>; 4]) {
        let r = registers::sigmoid(a_r + b_r);
        let z = registers::sigmoid(a_z + b_z);
        let n = registers::tanh(a_n + r * q);
        ((z.full(T::ONE) - z) * n + z * before, [r, z, n, q])
    }

    #[inline(always)]
    fn step_back<S: Simd, const N: usize>(
        self,
        [r, z, n, q]: [Group<T, S, N>; 4],
        (before, _): (Group<T, S, N>, Group<T, S, N>),
        gradient: Group<T, S, N>,
    ) -> StepGradients<Group<T, S, N>, 3> {
        let one = z.full(T::ONE);
        let dz = gradient * (before - n);
        let dn = gradient.absolute().where_less_or_equal(T::MAX, gradient * (one - z), gradient - gradient * z);
        let da_n = dn * (one - n * n);
        let dr = da_n * q;
        let da_r = dr * (one - r) * r;
        let da_z = dz * (one - z) * z;
        StepGradients { input_sums: [da_r, da_z, da_n], hidden_sums: [da_r, da_z, r * da_n], hidden: z * gradient }
    }
}
