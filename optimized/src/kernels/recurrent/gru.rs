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
use crate::simd::Simd;

/// Gates in the order r, z, n; what is kept are these, and q.
#[derive(Debug, Clone, Copy)]
pub struct Gated;

impl<T: HyperbolicTangent> Cell<T, 3, 4> for Gated {
    const COUNTER: Counter = Counter::Gru;

    #[inline(always)]
    fn step<S: Simd>(
        self,
        s: S,
        [a_r, a_z, a_n]: [T::Register<S>; 3],
        [b_r, b_z, q]: [T::Register<S>; 3],
        before: T::Register<S>,
    ) -> (T::Register<S>, [T::Register<S>; 4]) {
        let r = registers::sigmoid::<T, S>(s, T::plus(s, a_r, b_r));
        let z = registers::sigmoid::<T, S>(s, T::plus(s, a_z, b_z));
        let n = registers::tanh::<T, S>(s, T::plus(s, a_n, T::times(s, r, q)));
        let new = T::times(s, T::minus(s, T::splat(s, T::ONE), z), n);
        (T::plus(s, new, T::times(s, z, before)), [r, z, n, q])
    }

    #[inline(always)]
    fn step_back<S: Simd>(
        self,
        s: S,
        [r, z, n, q]: [T::Register<S>; 4],
        (before, _): (T::Register<S>, T::Register<S>),
        gradient: T::Register<S>,
    ) -> StepGradients<T::Register<S>, 3> {
        let one = T::splat(s, T::ONE);
        let dz = T::times(s, gradient, T::minus(s, before, n));
        let of_finite = T::times(s, gradient, T::minus(s, one, z));
        let of_others = T::minus(s, gradient, T::times(s, gradient, z));
        let dn = T::where_less_or_equal(s, (T::absolute(s, gradient), T::splat(s, T::MAX)), of_finite, of_others);
        let da_n = T::times(s, dn, T::minus(s, one, T::times(s, n, n)));
        let dr = T::times(s, da_n, q);
        let da_r = T::times(s, T::times(s, dr, T::minus(s, one, r)), r);
        let da_z = T::times(s, T::times(s, dz, T::minus(s, one, z)), z);
        StepGradients {
            input_sums: [da_r, da_z, da_n],
            hidden_sums: [da_r, da_z, T::times(s, r, da_n)],
            hidden: T::times(s, z, gradient),
        }
    }
}
