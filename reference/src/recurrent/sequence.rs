//! How the caller's tensors hold steps and sequences, and whether memory can be had for them.

use vocabulary::{Error, Result, SequenceLayout};

/// The shape of an input or output of so many features.
pub(crate) fn sequence_shape(layout: &SequenceLayout, features: usize) -> Vec<usize> {
    match (layout.batched, layout.batch_first) {
        (false, _) => vec![layout.length, features],
        (true, false) => vec![layout.length, layout.batch, features],
        (true, true) => vec![layout.batch, layout.length, features],
    }
}

/// The shape of initial or last hidden states.
pub(super) fn state_shape(layout: &SequenceLayout, states: usize, hidden_size: usize) -> Vec<usize> {
    if layout.batched { vec![states, layout.batch, hidden_size] } else { vec![states, hidden_size] }
}

/// Which row of the caller's tensor step t of sequence n is.
pub(super) fn place(layout: &SequenceLayout, t: usize, n: usize) -> usize {
    if layout.batched && layout.batch_first { n * layout.length + t } else { t * layout.batch + n }
}

/// Refuses steps for which memory cannot be had, before any is taken: each keeps its input, its hidden state and its gates.
pub(crate) fn check_storage<T>(layer: &str, layout: &SequenceLayout, states: usize, features: usize) -> Result<()> {
    // What the vectors of a step take beside their elements.
    const BESIDE: u128 = 512;
    let (length, batch) = steps_of(layout);
    let steps = (length as u128).saturating_mul(batch as u128).saturating_mul(states as u128);
    let each = (features as u128).saturating_mul(8 * size_of::<T>() as u128).saturating_add(BESIDE);
    let bytes = usize::try_from(steps.saturating_mul(each));
    match bytes.map(|bytes| Vec::<u8>::new().try_reserve_exact(bytes)) {
        Ok(Ok(())) => Ok(()),
        _ => Err(Error::too_large(layer, "input", &[length, batch, features])),
    }
}

/// L and N; no step at all where there is no sequence, however long it would be.
pub(super) fn steps_of(layout: &SequenceLayout) -> (usize, usize) {
    (if layout.batch == 0 { 0 } else { layout.length }, layout.batch)
}
