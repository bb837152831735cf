//! Memory for rows of steps: the caller's, a pass's, or lent for the call.

use crate::memory::Scratch;
use crate::simd::Lanes;
use std::collections::TryReserveError;
use std::ops::{Deref, DerefMut};

/// Rows of one call's own.
pub enum Memory<T> {
    /// That a pass keeps.
    Kept(Vec<T>),
    /// That are given back when the call ends.
    Lent(Scratch<T>),
}

impl<T: Lanes> Memory<T> {
    /// Zeros, where memory can be had for them.
    pub fn zeros(len: usize, keep: bool) -> Result<Self, TryReserveError> {
        if !keep {
            return Ok(Self::Lent(Scratch::zeros(len)?));
        }
        let mut elements = Vec::new();
        elements.try_reserve_exact(len)?;
        elements.resize(len, T::ZERO);
        Ok(Self::Kept(elements))
    }
}

impl<T: Lanes> Deref for Memory<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Kept(elements) => elements,
            Self::Lent(elements) => elements,
        }
    }
}

impl<T: Lanes> DerefMut for Memory<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::Kept(elements) => elements,
            Self::Lent(elements) => elements,
        }
    }
}

/// Rows in the order of time.
pub enum Rows<'a, T> {
    /// As they lie in another's memory.
    Given(&'a [T]),
    /// Copied or computed.
    Own(Memory<T>),
}

impl<T: Lanes> Deref for Rows<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Given(elements) => elements,
            Self::Own(elements) => elements,
        }
    }
}
