//! The lines of a tensor along one of its dimensions.

use vocabulary::Tensor;

/// All lines along a dimension.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines {
    outer: usize,
    length: usize,
    inner: usize,
}

/// One line: every `step`-th element from `start` on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    start: usize,
    length: usize,
    step: usize,
}

impl Lines {
    /// The lines along dimension `axis`; the one element of a tensor without dimensions is a line of its own.
    pub fn along(axis: Option<usize>, shape: &[usize]) -> Self {
        let Some(axis) = axis else { return Self { outer: 1, length: 1, inner: 1 } };
        Self { outer: shape[..axis].iter().product(), length: shape[axis], inner: shape[axis + 1..].iter().product() }
    }

    /// Line by line; none where there are no elements.
    pub fn iter(self) -> impl Iterator<Item = Line> {
        let Self { outer, length, inner } = self;
        let outer = if length == 0 || inner == 0 { 0 } else { outer };
        (0..outer)
            .flat_map(move |o| (0..inner).map(move |i| Line { start: o * length * inner + i, length, step: inner }))
    }
}

impl Line {
    /// Where the element `index` of the line stands.
    pub fn place(self, index: usize) -> usize {
        self.start + index * self.step
    }

    /// The line's elements.
    pub fn read<T: Copy>(self, tensor: &Tensor<T>) -> impl Iterator<Item = T> {
        (0..self.length).map(move |index| tensor.as_slice()[self.place(index)])
    }

    /// Replaces the line's elements.
    pub fn write<T: Clone>(self, tensor: &mut Tensor<T>, elements: impl Iterator<Item = T>) {
        let all = tensor.as_mut_slice();
        (0..self.length).zip(elements).for_each(|(index, element)| all[self.place(index)] = element);
    }
}
