//! Layers above each other, each in one or both directions, forward through time and back: equations (A) to (C) of the parent.

use super::Cell;
use super::sequence::{place, sequence_shape, state_shape, steps_of};
use crate::Real;
use vocabulary::{RecurrentOutput, RecurrentParameters, Result, SequenceLayout, Tensor};

/// A step of one sequence in one layer and direction: its input, the hidden state before it, and what it kept.
#[derive(Debug, Clone)]
struct Moment<T, K> {
    x: Vec<T>,
    h: Vec<T>,
    kept: K,
}

/// A whole forward: its outputs, and what backward needs.
#[derive(Debug, Clone)]
pub(crate) struct Run<T, K> {
    pub outputs: RecurrentOutput<T>,
    layout: SequenceLayout,
    /// [layer and direction][step][sequence], the steps in the order of time.
    moments: Vec<Vec<Vec<Moment<T, K>>>>,
    mask: Option<Tensor<T>>,
}

/// A recurrent layer's sizes, parameters and cell.
pub(crate) struct Stack<'a, T, C> {
    pub cell: C,
    pub parameters: &'a [RecurrentParameters<T>],
    pub hidden_size: usize,
    pub input_size: usize,
    pub directions: usize,
}

/// What backward gives, as [`vocabulary::RecurrentGradients`] names it.
pub(crate) type StackGradients<T> = (Tensor<T>, Tensor<T>, Vec<RecurrentParameters<T>>);

impl<T: Real, C: Cell<T>> Stack<'_, T, C> {
    fn num_layers(&self) -> usize {
        self.parameters.len() / self.directions
    }

    /// The steps in the order in which a direction takes them.
    fn order(&self, number: usize, length: usize) -> Vec<usize> {
        if number % self.directions == 1 { (0..length).rev().collect() } else { (0..length).collect() }
    }

    /// Every layer in every direction; `mask` multiplies the outputs of all layers but the last.
    pub fn forward(
        &self,
        layout: SequenceLayout,
        input: &Tensor<T>,
        hx: Option<&Tensor<T>>,
        mask: Option<&Tensor<T>>,
    ) -> Result<Run<T, C::Kept>> {
        let (size, width) = (self.hidden_size, self.directions * self.hidden_size);
        let (length, batch) = steps_of(&layout);
        // [step][sequence][feature], what the layer below gives.
        let mut below: Vec<Vec<Vec<T>>> = (0..length)
            .map(|t| (0..batch).map(|n| row(input, place(&layout, t, n), self.input_size).to_vec()).collect())
            .collect();
        let mut h_n = Vec::new();
        let mut moments = Vec::new();
        for layer in 0..self.num_layers() {
            let mut above = vec![vec![Vec::new(); batch]; length];
            for number in layer * self.directions..(layer + 1) * self.directions {
                let mut hidden: Vec<Vec<T>> = (0..batch)
                    .map(|n| hx.map_or_else(|| vec![T::zero(); size], |hx| row(hx, number * batch + n, size).to_vec()))
                    .collect();
                let mut steps = vec![Vec::new(); length];
                for t in self.order(number, length) {
                    for (n, h) in hidden.iter_mut().enumerate() {
                        let x = &below[t][n];
                        let (next, kept) = self.cell.step(&self.parameters[number], x, h);
                        let before = std::mem::replace(h, next);
                        above[t][n].extend_from_slice(h);
                        steps[t].push(Moment { x: x.clone(), h: before, kept });
                    }
                }
                h_n.extend(hidden.into_iter().flatten());
                moments.push(steps);
            }
            if let Some(mask) = mask.filter(|_| layer + 1 < self.num_layers()) {
                for (t, step) in above.iter_mut().enumerate() {
                    for (n, output) in step.iter_mut().enumerate() {
                        let keep = row(mask, (layer * length + t) * batch + n, width);
                        output.iter_mut().zip(keep).for_each(|(y, &keep)| *y = *y * keep); // (C)
                    }
                }
            }
            below = above;
        }
        let mut output = Tensor::full(&sequence_shape(&layout, width), T::zero())?;
        for (t, step) in below.iter().enumerate() {
            for (n, y) in step.iter().enumerate() {
                row_mut(&mut output, place(&layout, t, n), width).copy_from_slice(y);
            }
        }
        let h_n = Tensor::from_vec(&state_shape(&layout, self.parameters.len(), size), h_n)?;
        Ok(Run { outputs: RecurrentOutput { output, h_n }, layout, moments, mask: mask.cloned() })
    }

    /// Back through layers and steps, from the last to the first, with the parameters as they were in the pass.
    pub fn backward(
        &self,
        run: &Run<T, C::Kept>,
        grad_output: &Tensor<T>,
        grad_h_n: Option<&Tensor<T>>,
    ) -> Result<StackGradients<T>> {
        let (size, width) = (self.hidden_size, self.directions * self.hidden_size);
        let (length, batch) = steps_of(&run.layout);
        let mut gradients = self.parameters.iter().map(zeros_like).collect::<Result<Vec<_>>>()?;
        let mut dhx = Tensor::full(run.outputs.h_n.shape(), T::zero())?;
        let mut above: Vec<Vec<Vec<T>>> = (0..length)
            .map(|t| (0..batch).map(|n| row(grad_output, place(&run.layout, t, n), width).to_vec()).collect())
            .collect();
        for layer in (0..self.num_layers()).rev() {
            if let Some(mask) = run.mask.as_ref().filter(|_| layer + 1 < self.num_layers()) {
                for (t, step) in above.iter_mut().enumerate() {
                    for (n, gradient) in step.iter_mut().enumerate() {
                        let keep = row(mask, (layer * length + t) * batch + n, width);
                        gradient.iter_mut().zip(keep).for_each(|(g, &keep)| *g = *g * keep); // (C)
                    }
                }
            }
            let inputs = if layer == 0 { self.input_size } else { width };
            let mut below = vec![vec![vec![T::zero(); inputs]; batch]; length];
            for direction in 0..self.directions {
                let number = layer * self.directions + direction;
                let (parameters, sums) = (&self.parameters[number], &mut gradients[number]);
                for n in 0..batch {
                    let last = number * batch + n;
                    let mut dh = match grad_h_n {
                        Some(grad) => row(grad, last, size).to_vec(),
                        None => vec![T::zero(); size],
                    };
                    for t in self.order(number, length).into_iter().rev() {
                        let Moment { x, h, kept } = &run.moments[number][t][n];
                        let of_output = &above[t][n][direction * size..][..size];
                        dh.iter_mut().zip(of_output).for_each(|(dh, &g)| *dh = *dh + g);
                        let step = self.cell.step_back(kept, h, &dh);
                        add_products(&mut sums.weight_ih, &step.input_sums, x); // (A)
                        add_products(&mut sums.weight_hh, &step.hidden_sums, h); // (A)
                        add_all(sums.bias_ih.as_mut(), &step.input_sums); // (A)
                        add_all(sums.bias_hh.as_mut(), &step.hidden_sums); // (A)
                        add_transposed(&mut below[t][n], &parameters.weight_ih, &step.input_sums); // (B)
                        dh = step.hidden;
                        add_transposed(&mut dh, &parameters.weight_hh, &step.hidden_sums); // (B)
                    }
                    row_mut(&mut dhx, last, size).copy_from_slice(&dh);
                }
            }
            above = below;
        }
        let mut dx = Tensor::full(&sequence_shape(&run.layout, self.input_size), T::zero())?;
        for (t, step) in above.iter().enumerate() {
            for (n, gradient) in step.iter().enumerate() {
                row_mut(&mut dx, place(&run.layout, t, n), self.input_size).copy_from_slice(gradient);
            }
        }
        Ok((dx, dhx, gradients))
    }
}

/// Row by row of `size` elements.
fn row<T>(tensor: &Tensor<T>, row: usize, size: usize) -> &[T] {
    &tensor.as_slice()[row * size..][..size]
}

fn row_mut<T: Clone>(tensor: &mut Tensor<T>, row: usize, size: usize) -> &mut [T] {
    &mut tensor.as_mut_slice()[row * size..][..size]
}

fn zeros_like<T: Real>(parameters: &RecurrentParameters<T>) -> Result<RecurrentParameters<T>> {
    let zeros = |tensor: &Tensor<T>| Tensor::full(tensor.shape(), T::zero());
    Ok(RecurrentParameters {
        weight_ih: zeros(&parameters.weight_ih)?,
        weight_hh: zeros(&parameters.weight_hh)?,
        bias_ih: parameters.bias_ih.as_ref().map(zeros).transpose()?,
        bias_hh: parameters.bias_hh.as_ref().map(zeros).transpose()?,
    })
}

/// Adds Wᵀ·g.
fn add_transposed<T: Real>(sums: &mut [T], weight: &Tensor<T>, g: &[T]) {
    let columns = sums.len();
    for (row, &g) in g.iter().enumerate() {
        for (column, sum) in sums.iter_mut().enumerate() {
            *sum = *sum + weight.as_slice()[row * columns + column] * g;
        }
    }
}

/// Adds g·vᵀ.
fn add_products<T: Real>(sums: &mut Tensor<T>, g: &[T], v: &[T]) {
    for (row, &g) in g.iter().enumerate() {
        let sums = row_mut(sums, row, v.len());
        sums.iter_mut().zip(v).for_each(|(sum, &v)| *sum = *sum + g * v);
    }
}

fn add_all<T: Real>(sums: Option<&mut Tensor<T>>, terms: &[T]) {
    let sums = sums.into_iter().flat_map(|sums| sums.as_mut_slice());
    sums.zip(terms).for_each(|(sum, &term)| *sum = *sum + term);
}
