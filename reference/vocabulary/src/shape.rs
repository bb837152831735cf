//! The sizes of a tensor's dimensions.

use std::ops::Deref;

/// Of so many dimensions, the most that layers have, sizes stand beside the elements: to allocate memory for them takes as long as a
/// layer computes a hundred elements.
const FEW: usize = 4;

/// A list of sizes.
#[derive(Clone)]
pub enum Shape {
    /// The first `rank` of these.
    Few {
        rank: usize,
        sizes: [usize; FEW],
    },
    Many(Box<[usize]>),
}

impl From<&[usize]> for Shape {
    #[inline]
    fn from(shape: &[usize]) -> Self {
        if shape.len() > FEW {
            return Self::Many(shape.into());
        }
        let mut sizes = [0; FEW];
        for (to, size) in sizes.iter_mut().zip(shape) {
            *to = *size;
        }
        Self::Few { rank: shape.len(), sizes }
    }
}

impl Deref for Shape {
    type Target = [usize];

    #[inline]
    fn deref(&self) -> &[usize] {
        match self {
            Self::Few { rank, sizes } => &sizes[..*rank],
            Self::Many(sizes) => sizes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_sizes_and_many_are_the_same_to_who_reads_them() {
        let sizes: Vec<usize> = (0..2 * FEW).collect();
        for rank in 0..sizes.len() {
            let shape = Shape::from(&sizes[..rank]);
            assert_eq!(matches!(shape, Shape::Few { .. }), rank <= FEW);
            assert_eq!((&*shape, &*shape.clone()), (&sizes[..rank], &sizes[..rank]));
        }
    }
}
