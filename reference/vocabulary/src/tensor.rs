//! An owned, contiguous, row-major tensor whose clones share their storage until one of them is written to.

use crate::shape::Shape;
use crate::storage::{self, Storage};
use crate::{Error, Result};
use std::fmt;
use std::ops::{Index, IndexMut, Range};
use std::sync::Arc;

/// A tensor of any number of dimensions (none: a scalar), its elements contiguous in row-major order.
///
/// A clone shares its elements with the original, at the price of a count; the first write to either copies them.
///
/// ```
/// use vocabulary::Tensor;
/// let mut x = Tensor::from_fn(&[2, 3], |i| (10 * i[0] + i[1]) as f32)?;
/// assert_eq!(x[[1, 2]], 12.0);
/// let kept = x.clone();
/// x[[1, 2]] = 0.0;
/// assert_eq!(kept[[1, 2]], 12.0);
/// assert_eq!(kept.to_string(), "tensor([[ 0.,  1.,  2.],\n        [10., 11., 12.]])");
/// # Ok::<(), vocabulary::Error>(())
/// ```
pub struct Tensor<T> {
    data: Arc<Data<T>>,
    /// Where it is another than that which the elements were made in.
    shape: Option<Arc<[usize]>>,
}

/// Elements, and the shape that they were made in: that of most tensors.
#[derive(Clone)]
struct Data<T> {
    shape: Shape,
    elements: Storage<T>,
}

impl<T> Clone for Tensor<T> {
    fn clone(&self) -> Self {
        Self { data: Arc::clone(&self.data), shape: self.shape.clone() }
    }
}

impl<T: PartialEq> PartialEq for Tensor<T> {
    fn eq(&self, other: &Self) -> bool {
        self.shape() == other.shape() && self.as_slice() == other.as_slice()
    }
}

impl<T: fmt::Debug> fmt::Debug for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tensor").field("shape", &self.shape()).field("data", &self.as_slice()).finish()
    }
}

/// Nobody needs more; and what goes down from dimension to dimension, as printing does, does not go too deep.
const MOST_DIMENSIONS: usize = 256;

/// The number of elements of `shape`, where it and its size in bytes can be stored.
///
/// Sizes of 0 make a tensor empty, but its other sizes must not overflow either, as in PyTorch: so no product of any sizes of
/// a tensor does.
fn count<T>(shape: &[usize]) -> Result<usize> {
    if shape.len() > MOST_DIMENSIONS {
        let expected = format!("at most {MOST_DIMENSIONS}");
        return Err(Error::new("Tensor", "shape", format_args!("has {} dimensions", shape.len()), expected));
    }
    let bytes = shape.iter().try_fold(size_of::<T>().max(1), |n, &size| n.checked_mul(size.max(1)));
    match bytes {
        Some(bytes) if bytes <= isize::MAX as usize => Ok(shape.iter().product()),
        _ => Err(Error::too_large("Tensor", "shape", shape)),
    }
}

/// The same, where there are `len` of them.
fn filled<T>(shape: &[usize], len: usize) -> Result<usize> {
    if count::<T>(shape)? != len {
        let expected = format_args!("as many as shape {shape:?} has");
        return Err(Error::new("Tensor", "data", format_args!("has {len} elements"), expected));
    }
    Ok(len)
}

impl<T> Tensor<T> {
    /// A tensor of as many elements as the shape has.
    fn of(shape: &[usize], elements: impl Into<Storage<T>>) -> Self {
        Self { data: Arc::new(Data { shape: shape.into(), elements: elements.into() }), shape: None }
    }

    /// The same elements under another shape that has as many.
    fn shaped(&self, shape: &[usize]) -> Self {
        let shape = (*self.data.shape != *shape).then(|| shape.into());
        Self { data: Arc::clone(&self.data), shape }
    }

    /// A tensor of the given elements, in row-major order.
    ///
    /// # Errors
    /// Where `data` does not have exactly the elements of `shape`.
    pub fn from_vec(shape: &[usize], data: Vec<T>) -> Result<Self> {
        filled::<T>(shape, data.len())?;
        Ok(Self::of(shape, data))
    }

    /// A tensor of the elements of `memory` in `place`, in row-major order; the vector is given to `give_back` when the last
    /// tensor that shares the elements is dropped, so that its memory can be used again.
    ///
    /// # Errors
    /// Where `place` is not as long as `shape` has elements, or does not lie in `memory`, which is then given back.
    ///
    /// ```
    /// use vocabulary::Tensor;
    /// let x = Tensor::from_lent(&[2], vec![0, 1, 2, 3], 1..3, |memory| assert_eq!(memory, [0, 1, 2, 3]))?;
    /// assert_eq!(x.as_slice(), [1, 2]);
    /// # Ok::<(), vocabulary::Error>(())
    /// ```
    pub fn from_lent(shape: &[usize], memory: Vec<T>, place: Range<usize>, give_back: fn(Vec<T>)) -> Result<Self> {
        let refusal = match count::<T>(shape) {
            Ok(count) if memory.get(place.clone()).is_some_and(|elements| elements.len() == count) => {
                return Ok(Self::of(shape, Storage::lent(memory, place, give_back)));
            }
            Ok(count) => {
                let expected = format!("{count} places of {}, as many as shape {shape:?} has", memory.len());
                Error::new("Tensor", "place", format_args!("is {place:?}"), expected)
            }
            Err(error) => error,
        };
        give_back(memory);
        Err(refusal)
    }

    /// What the address of the first of so many elements is a multiple of, in bytes, where a tensor has made them ([`Tensor::from_vec`]
    /// takes them as they are): 64, a cache line, of numbers that fill one; 4096, a page, of 64 KiB and more of them; otherwise 1.
    ///
    /// So no register lies in two lines; and what is read of one large tensor, and written of another at the same index, lie at the same
    /// place in their pages. (A processor tells what it reads from what is on its way to memory by that place at first, and waits where that
    /// looks the same: of a tensor that lies a line or two further in its page than the other, all the time.)
    ///
    /// ```
    /// use vocabulary::Tensor;
    /// let x = Tensor::full(&[1 << 14], 1.0_f32)?;
    /// assert_eq!(x.as_slice().as_ptr().addr() % Tensor::<f32>::alignment(x.len()), 0);
    /// # Ok::<(), vocabulary::Error>(())
    /// ```
    pub fn alignment(len: usize) -> usize {
        storage::alignment::<T>(len)
    }

    /// A tensor without dimensions, holding one element.
    pub fn scalar(value: T) -> Self {
        Self::of(&[], vec![value])
    }

    /// The sizes of the dimensions.
    pub fn shape(&self) -> &[usize] {
        self.shape.as_deref().unwrap_or(&self.data.shape)
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape().len()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether the tensor has no elements.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// The elements, in row-major order.
    pub fn as_slice(&self) -> &[T] {
        self.data.elements.as_slice()
    }

    /// The element at `index`, or `None` where there is none.
    ///
    /// ```
    /// let x = vocabulary::Tensor::from_vec(&[2], vec![3, 4])?;
    /// assert_eq!((x.get(&[1]), x.get(&[2]), x.get(&[0, 0])), (Some(&4), None, None));
    /// # Ok::<(), vocabulary::Error>(())
    /// ```
    pub fn get(&self, index: &[usize]) -> Option<&T> {
        self.offset(index).map(|offset| &self.as_slice()[offset])
    }

    fn offset(&self, index: &[usize]) -> Option<usize> {
        let inside = index.len() == self.rank() && index.iter().zip(self.shape()).all(|(i, size)| i < size);
        inside.then(|| index.iter().zip(self.shape()).fold(0, |offset, (i, size)| offset * size + i))
    }

    /// The same elements under another shape; the storage is shared.
    ///
    /// # Errors
    /// Where `shape` has another number of elements.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self> {
        if count::<T>(shape)? != self.len() {
            return Err(Error::shape("Tensor", "shape", shape, format_args!("{} elements", self.len())));
        }
        Ok(self.shaped(shape))
    }

    /// The same elements with the dimensions from `start` on joined into one; the storage is shared.
    ///
    /// # Errors
    /// Where there is no dimension `start`.
    ///
    /// ```
    /// let x = vocabulary::Tensor::from_vec(&[2, 1, 2], vec![1, 2, 3, 4])?;
    /// assert_eq!(x.flatten(1)?.shape(), [2, 2]);
    /// assert_eq!(x.flatten(0)?.shape(), [4]);
    /// # Ok::<(), vocabulary::Error>(())
    /// ```
    pub fn flatten(&self, start: usize) -> Result<Self> {
        if start >= self.rank().max(1) {
            let expected = format!("less than {}", self.rank().max(1));
            return Err(Error::new("Tensor", "start", format_args!("is {start}"), expected));
        }
        let (kept, joined) = self.shape().split_at(start.min(self.rank()));
        let mut shape = kept.to_vec();
        shape.push(joined.iter().product());
        Ok(self.shaped(&shape))
    }
}

impl<T: Clone> Tensor<T> {
    /// A tensor whose element at each index is what `element` makes of that index. (That elements can be cloned lets copies of one come
    /// before the first, where that does not begin its memory: [`Tensor::alignment`].)
    ///
    /// # Errors
    /// Where the elements of `shape` cannot be counted or stored.
    pub fn from_fn(shape: &[usize], mut element: impl FnMut(&[usize]) -> T) -> Result<Self> {
        let count = count::<T>(shape)?;
        let mut index = vec![0; shape.len()];
        let elements = (0..count).map(|_| {
            let made = element(&index);
            for (i, &size) in index.iter_mut().zip(shape).rev() {
                *i += 1;
                if *i < size {
                    break;
                }
                *i = 0;
            }
            made
        });
        Self::stored(shape, Storage::collect(count, elements))
    }

    /// A tensor of the elements that an iterator gives, in row-major order.
    ///
    /// # Errors
    /// Where they are not exactly as many as those of `shape`.
    #[cfg(feature = "safetensors")]
    pub(crate) fn collect(shape: &[usize], elements: impl ExactSizeIterator<Item = T>) -> Result<Self> {
        let count = filled::<T>(shape, elements.len())?;
        Self::stored(shape, Storage::collect(count, elements))
    }

    /// A tensor of as many elements as the shape has, where there was room for them.
    fn stored(shape: &[usize], elements: Option<Storage<T>>) -> Result<Self> {
        elements.map(|elements| Self::of(shape, elements)).ok_or_else(|| Error::too_large("Tensor", "shape", shape))
    }

    /// A tensor of equal elements.
    ///
    /// # Errors
    /// Where the elements of `shape` cannot be counted or stored.
    pub fn full(shape: &[usize], value: T) -> Result<Self> {
        Self::stored(shape, Storage::full(count::<T>(shape)?, value))
    }

    /// The elements for writing, in row-major order; copied first where a clone shares them.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        Arc::make_mut(&mut self.data).elements.as_mut_slice()
    }

    /// The elements, in row-major order; copied only where a clone shares them, and moved where they do not
    /// begin their memory: seldom where they were given by [`Tensor::from_vec`], nearly always where a tensor has made them.
    pub fn into_vec(self) -> Vec<T> {
        Arc::unwrap_or_clone(self.data).elements.into_vec()
    }

    /// A tensor of the same shape whose elements are `f` of these.
    pub fn map<U: Clone>(&self, f: impl FnMut(T) -> U) -> Tensor<U> {
        let elements = Storage::collect(self.len(), self.as_slice().iter().cloned().map(f));
        Tensor::of(self.shape(), elements.unwrap_or_else(|| storage::out_of_memory::<U>(self.len())))
    }

    /// The tensor with its dimensions in another order: dimension `i` of the result is dimension `order[i]` of this one.
    ///
    /// # Errors
    /// Where `order` does not name every dimension once.
    ///
    /// ```
    /// let x = vocabulary::Tensor::from_vec(&[2, 3], vec![1, 2, 3, 4, 5, 6])?;
    /// assert_eq!(x.permute(&[1, 0])?.as_slice(), [1, 4, 2, 5, 3, 6]);
    /// # Ok::<(), vocabulary::Error>(())
    /// ```
    pub fn permute(&self, order: &[usize]) -> Result<Self> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..self.rank()) {
            let expected = format!("each of 0..{} once", self.rank());
            return Err(Error::new("Tensor", "order", format_args!("is {order:?}"), expected));
        }
        let shape: Vec<usize> = order.iter().map(|&axis| self.shape()[axis]).collect();
        let mut source = vec![0; self.rank()];
        Self::from_fn(&shape, |index| {
            order.iter().zip(index).for_each(|(&axis, &i)| source[axis] = i);
            self.as_slice()[self.offset(&source).unwrap_or_default()].clone()
        })
    }

    /// The part of the tensor whose index along dimension `axis` lies in `range`.
    ///
    /// # Errors
    /// Where there is no such dimension, or the range leaves it.
    ///
    /// ```
    /// let x = vocabulary::Tensor::from_vec(&[2, 3], vec![1, 2, 3, 4, 5, 6])?;
    /// assert_eq!(x.slice(1, 1..3)?.as_slice(), [2, 3, 5, 6]);
    /// # Ok::<(), vocabulary::Error>(())
    /// ```
    pub fn slice(&self, axis: usize, range: Range<usize>) -> Result<Self> {
        let Some(&size) = self.shape().get(axis) else {
            let expected = format!("less than {}", self.rank());
            return Err(Error::new("Tensor", "axis", format_args!("is {axis}"), expected));
        };
        if range.start > range.end || range.end > size {
            return Err(Error::new("Tensor", "range", format_args!("is {range:?}"), format_args!("within 0..{size}")));
        }
        let inner: usize = self.shape()[axis + 1..].iter().product();
        let mut shape = self.shape().to_vec();
        shape[axis] = range.len();
        let rows = self.as_slice().chunks(usize::max(1, size * inner));
        let part = rows.flat_map(|row| row[range.start * inner..range.end * inner].iter().cloned());
        Self::stored(&shape, Storage::collect(shape.iter().product(), part))
    }

    /// Tensors of one shape, stacked along a new first dimension.
    ///
    /// # Errors
    /// Where there is none, or their shapes differ.
    ///
    /// ```
    /// use vocabulary::Tensor;
    /// let rows = [Tensor::from_vec(&[2], vec![1, 2])?, Tensor::from_vec(&[2], vec![3, 4])?];
    /// assert_eq!(Tensor::stack(&rows)?, Tensor::from_vec(&[2, 2], vec![1, 2, 3, 4])?);
    /// # Ok::<(), vocabulary::Error>(())
    /// ```
    pub fn stack(tensors: &[Self]) -> Result<Self> {
        let first = tensors.first().ok_or_else(|| Error::missing("Tensor", "tensors", "at least one"))?;
        if let Some(other) = tensors.iter().find(|tensor| tensor.shape() != first.shape()) {
            return Err(Error::shape(
                "Tensor",
                "tensors",
                other.shape(),
                format_args!("{:?}, as the first", first.shape()),
            ));
        }
        let shape: Vec<usize> = std::iter::once(tensors.len()).chain(first.shape().iter().copied()).collect();
        let elements = tensors.iter().flat_map(|tensor| tensor.as_slice().iter().cloned());
        Self::stored(&shape, Storage::collect(count::<T>(&shape)?, elements))
    }
}

/// `x[[n, c, h, w]]`. Like a slice's, it panics outside the tensor; [`Tensor::get`] does not.
impl<T, const RANK: usize> Index<[usize; RANK]> for Tensor<T> {
    type Output = T;

    fn index(&self, index: [usize; RANK]) -> &T {
        self.get(&index).unwrap_or_else(|| panic!("index {index:?} lies outside a tensor of shape {:?}", self.shape()))
    }
}

/// `x[[n, c, h, w]] = y`. Like a slice's, it panics outside the tensor.
impl<T: Clone, const RANK: usize> IndexMut<[usize; RANK]> for Tensor<T> {
    fn index_mut(&mut self, index: [usize; RANK]) -> &mut T {
        match self.offset(&index) {
            Some(offset) => &mut self.as_mut_slice()[offset],
            None => panic!("index {index:?} lies outside a tensor of shape {:?}", self.shape()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_overflow_are_refused() {
        for shape in [&[usize::MAX, 2][..], &[1 << 40, 1 << 30], &[usize::MAX / 4]] {
            assert!(Tensor::full(shape, 0.0_f64).is_err(), "{shape:?}");
            assert!(Tensor::from_fn(shape, |_| 0.0_f64).is_err(), "{shape:?}");
            assert!(Tensor::from_vec(shape, vec![0.0_f64]).is_err(), "{shape:?}");
        }
        for shape in [&[usize::MAX, 0, usize::MAX][..], &[0, 1 << 40, 1 << 30]] {
            assert!(Tensor::full(shape, 0.0_f64).is_err(), "{shape:?}");
        }
        assert!(Tensor::full(&[1; 257], 0.0_f64).is_err());
        assert!(Tensor::full(&[1; 256], 0.0_f64).unwrap().to_string().len() > 512);
        assert!(Tensor::full(&[1 << 40, 0, 3], 0.0_f64).unwrap().flatten(0).unwrap().is_empty());
    }

    #[test]
    fn a_request_beyond_the_address_space_is_refused() {
        assert!(Tensor::full(&[1 << 45, 1 << 10], 0.0_f64).is_err());
    }

    #[test]
    fn a_write_leaves_clones_as_they_were() {
        let mut x = Tensor::full(&[2], 1).unwrap();
        let y = x.reshape(&[2, 1]).unwrap();
        x.as_mut_slice()[0] = 5;
        assert_eq!((x.as_slice(), y.as_slice()), (&[5, 1][..], &[1, 1][..]));
    }

    #[test]
    fn lent_memory_is_given_back_once_by_the_last_that_holds_it() {
        use std::sync::Mutex;
        static BACK: Mutex<Vec<Vec<i32>>> = Mutex::new(Vec::new());
        let back = || std::mem::take(&mut *BACK.lock().unwrap());
        let give_back = |memory| BACK.lock().unwrap().push(memory);
        let lent = |place| Tensor::from_lent(&[2], vec![1, 2, 3, 4], place, give_back);
        let x = lent(1..3).unwrap();
        let y = x.reshape(&[2, 1]).unwrap();
        drop(x);
        assert!(back().is_empty());
        assert_eq!(
            (y.as_slice(), y.len(), format!("{y:?}")),
            (&[2, 3][..], 2, "Tensor { shape: [2, 1], data: [2, 3] }".to_owned())
        );
        let mut z = y.clone();
        z.as_mut_slice()[0] = 9;
        assert_eq!((y.as_slice(), z.as_slice()), (&[2, 3][..], &[9, 3][..]));
        drop(z);
        assert!(back().is_empty(), "a copy's memory is nobody's");
        drop(y);
        assert_eq!(back(), [[1, 2, 3, 4]]);
        assert_eq!(lent(2..4).unwrap().into_vec(), [3, 4]);
        assert!(back().is_empty(), "the memory is the caller's");
        let mut x = lent(0..2).unwrap();
        x.as_mut_slice()[1] = 7;
        drop(x);
        assert_eq!(back(), [[1, 7, 3, 4]]);
        for place in [0..3, 3..5, 5..7] {
            assert!(lent(place).is_err());
            assert_eq!(back(), [[1, 2, 3, 4]]);
        }
    }

    #[test]
    fn a_shape_belongs_to_its_tensor_alone() {
        let x = Tensor::from_fn(&[2, 3], |i| 3 * i[0] + i[1]).unwrap();
        let mut y = x.reshape(&[3, 1, 1, 1, 2]).unwrap();
        assert_eq!(y, Tensor::from_vec(&[3, 1, 1, 1, 2], (0..6).collect()).unwrap());
        assert_ne!(x, y);
        assert_ne!(x, Tensor::full(&[2, 3], 0).unwrap());
        assert_eq!((x.shape(), y.clone().shape(), y.rank()), (&[2, 3][..], &[3, 1, 1, 1, 2][..], 5));
        assert_eq!(format!("{y:?}"), "Tensor { shape: [3, 1, 1, 1, 2], data: [0, 1, 2, 3, 4, 5] }");
        assert_eq!(y.map(|x| -(x as i32)).shape(), y.shape());
        assert_eq!(y.slice(0, 1..2).unwrap(), Tensor::from_vec(&[1, 1, 1, 1, 2], vec![2, 3]).unwrap());
        y.as_mut_slice()[5] = 7;
        assert_eq!((y[[2, 0, 0, 0, 1]], y.shape(), x[[1, 2]]), (7, &[3, 1, 1, 1, 2][..], 5));
        assert_eq!(y.reshape(&[2, 3]).unwrap(), Tensor::from_vec(&[2, 3], vec![0, 1, 2, 3, 4, 7]).unwrap());
        assert_eq!(y.flatten(0).unwrap().into_vec(), [0, 1, 2, 3, 4, 7]);
    }

    #[test]
    fn slices_of_empty_tensors_are_empty() {
        let x = Tensor::full(&[3, 0], 0_i64).unwrap();
        assert_eq!(x.slice(0, 1..3).unwrap().shape(), [2, 0]);
        assert!(x.slice(1, 0..1).is_err() && x.slice(2, 0..0).is_err());
    }

    #[test]
    fn indices_follow_row_major_order() {
        let x = Tensor::from_fn(&[2, 3, 4], |i| (i[0] * 3 + i[1]) * 4 + i[2]).unwrap();
        assert!(x.as_slice().iter().copied().eq(0..24));
        assert_eq!(x[[1, 2, 3]], 23);
        assert_eq!(x.permute(&[2, 0, 1]).unwrap()[[3, 1, 2]], 23);
    }
}
