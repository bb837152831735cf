//! Instruction sets: which of them the machine has, and how a kernel is compiled for each. The only folder that names pulp.
//!
//! A kernel is a struct that implements [`Kernel`]: its body is generic over [`Simd`], and [`run`] compiles one copy of
//! it for each instruction set. Everything the body calls is `#[inline(always)]`, so that plain loops in it are compiled
//! for the same instruction set, and vectorised by the compiler.

mod beyond_pulp;
mod group;
mod lanes;
mod look_up;
mod prefetch;
mod stream;

pub use group::{Group, LONG, SHORT};
pub use lanes::{Lanes, MOST_COUNT, MOST_LANES};
pub use prefetch::{LINE, prefetch, prefetch_all};
pub use pulp::{Simd, WithSimd as Kernel};
pub use stream::{Arrival, Stream, streams};

use pulp::Arch;
use std::any::TypeId;
use std::fmt;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::str::FromStr;
use vocabulary::Error;

/// An instruction set that kernels are compiled for.
///
/// ```
/// use optimized::Isa;
/// assert_eq!("scalar".parse::<Isa>()?, Isa::Scalar);
/// assert_eq!(Isa::V4.to_string(), "v4");
/// assert!(Isa::available().contains(&Isa::Scalar));
/// assert!("mmx".parse::<Isa>().is_err());
/// # Ok::<(), optimized::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isa {
    /// What every machine of the target has; one lane at a time, no fused multiply-add.
    Scalar,
    /// x86-64-v3: AVX2 and FMA.
    V3,
    /// x86-64-v4: AVX-512.
    V4,
    /// AArch64's Neon.
    Neon,
}

impl Isa {
    /// All, in the order of their declaration.
    pub(crate) const ALL: [Self; 4] = [Self::Scalar, Self::V3, Self::V4, Self::Neon];

    /// The instruction sets that this machine has, the best first and [`Isa::Scalar`] last.
    ///
    /// ```
    /// use optimized::Isa;
    /// assert_eq!(Isa::available().last(), Some(&Isa::Scalar));
    /// ```
    pub fn available() -> Vec<Self> {
        [Self::V4, Self::V3, Self::Neon, Self::Scalar].into_iter().filter(|isa| isa.arch().is_some()).collect()
    }

    /// The best instruction set that this machine has.
    ///
    /// ```
    /// use optimized::Isa;
    /// assert_eq!(Isa::available().first(), Some(&Isa::best()));
    /// ```
    pub fn best() -> Self {
        match Arch::new() {
            #[cfg(target_arch = "x86_64")]
            Arch::V4(_) => Self::V4,
            #[cfg(target_arch = "x86_64")]
            Arch::V3(_) => Self::V3,
            #[cfg(target_arch = "aarch64")]
            Arch::Neon(_) => Self::Neon,
            _ => Self::Scalar,
        }
    }

    /// Whether this machine has it.
    pub(crate) fn is_available(self) -> bool {
        self.arch().is_some()
    }

    fn arch(self) -> Option<Arch> {
        match self {
            Self::Scalar => Some(Arch::Scalar),
            #[cfg(target_arch = "x86_64")]
            Self::V3 => pulp::x86::V3::try_new().map(Arch::V3),
            #[cfg(target_arch = "x86_64")]
            Self::V4 => pulp::x86::V4::try_new().map(Arch::V4),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => pulp::aarch64::Neon::try_new().map(Arch::Neon),
            _ => None,
        }
    }

    /// The instruction set that a kernel's body is being compiled for.
    #[inline(always)]
    pub(crate) fn of<S: Simd>() -> Self {
        let id = TypeId::of::<S>();
        #[cfg(target_arch = "x86_64")]
        if id == TypeId::of::<pulp::x86::V4>() {
            return Self::V4;
        } else if id == TypeId::of::<pulp::x86::V3>() {
            return Self::V3;
        }
        #[cfg(target_arch = "aarch64")]
        if id == TypeId::of::<pulp::aarch64::Neon>() {
            return Self::Neon;
        }
        let _ = id;
        Self::Scalar
    }

    fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::V3 => "v3",
            Self::V4 => "v4",
            Self::Neon => "neon",
        }
    }
}

/// Runs a kernel's body as compiled for `isa`, which the caller knows the machine to have.
#[inline]
pub fn run<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    debug_assert!(isa.is_available());
    isa.arch().unwrap_or(Arch::Scalar).dispatch(OnLines(kernel))
}

/// A kernel whose stack keeps each register in one cache line. The compiler aligns a function's stack where a variable asks for it,
/// but no more once it has run out of registers and puts them there: in three processes of four they then lie in two lines each, and
/// are read back slowly. BCEWithLogitsLoss of 20,000 `f64` took 46 to 56 µs so on Zen 4, from one process to the next, and takes 46.5.
struct OnLines<K>(K);

#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "its address is what counts")] MaybeUninit<u8>);

impl<K: Kernel> Kernel for OnLines<K> {
    type Output = K::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> K::Output {
        let line = Line(MaybeUninit::uninit());
        black_box(&line);
        self.0.with_simd(s)
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Isa {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|isa| isa.name() == name);
        known.ok_or_else(|| Error::new("Execution", "isa", format_args!("is {name:?}"), "scalar, v3, v4 or neon"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Which;
    impl Kernel for Which {
        type Output = Isa;
        fn with_simd<S: Simd>(self, _: S) -> Isa {
            Isa::of::<S>()
        }
    }

    #[test]
    fn a_kernel_runs_at_the_instruction_set_asked_for() {
        for isa in Isa::available() {
            assert_eq!(run(isa, Which), isa);
        }
    }

    #[test]
    fn names_are_read_back() {
        for isa in Isa::ALL {
            assert_eq!(isa.to_string().parse::<Isa>().unwrap(), isa);
        }
        assert_eq!(format!("{:>6}", Isa::V4), "    v4");
    }
}
