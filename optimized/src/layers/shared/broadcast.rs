//! Broadcasting: shapes aligned at their last dimensions, sizes of 1 repeated.

use vocabulary::{Error, Result};

/// The shape to which both are broadcast: the longer one, in which each size 1 gives way to the other operand's.
pub fn broadcast_shape(layer: &str, argument: &str, input: &[usize], other: &[usize]) -> Result<Vec<usize>> {
    let (longer, shorter) = if input.len() >= other.len() { (input, other) } else { (other, input) };
    let mut shape = longer.to_vec();
    for (size, &of_shorter) in shape.iter_mut().rev().zip(shorter.iter().rev()) {
        if *size == 1 {
            *size = of_shorter;
        } else if of_shorter != 1 && of_shorter != *size {
            let expected = format!("a shape that broadcasts against the input's, {input:?}");
            return Err(Error::shape(layer, argument, other, expected));
        }
    }
    Ok(shape)
}

/// Refuses a shape that does not broadcast to exactly `to`.
pub fn check_broadcast(layer: &str, argument: &str, shape: &[usize], to: &[usize]) -> Result<()> {
    match broadcast_shape(layer, argument, to, shape)? == to {
        true => Ok(()),
        false => {
            Err(Error::shape(layer, argument, shape, format_args!("a shape that broadcasts to the input's, {to:?}")))
        }
    }
}
