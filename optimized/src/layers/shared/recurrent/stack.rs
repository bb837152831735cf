//! Layers above each other, each in one or both directions, and dropout between them.

use super::rows::{Memory, Rows};
use super::{Sizes, steps_of};
use crate::kernels::recurrent::{Cell, Direction, Gradients, Trace};
use crate::{Float, Isa, Threads};
use vocabulary::{RecurrentGradients, RecurrentParameters, Result, SequenceLayout, Tensor};

/// A recurrent layer's sizes and parameters.
#[derive(Clone, Copy)]
pub struct Stack<'a, T> {
    pub sizes: Sizes,
    pub parameters: &'a [RecurrentParameters<T>],
    pub kernel: (Isa, Threads),
}

/// What a forward is given, and how the caller lays it out.
#[derive(Clone, Copy)]
pub struct Call<'a, T> {
    pub layout: SequenceLayout,
    pub input: &'a Tensor<T>,
    pub hx: Option<&'a Tensor<T>>,
    /// Factors of the outputs of all layers but the last.
    pub mask: Option<&'a Tensor<T>>,
}

/// What backward needs.
#[derive(Debug, Clone)]
pub struct Run<T> {
    /// Of each layer and direction.
    traces: Vec<Trace<T>>,
    /// The inputs of all layers but the first, [L, N, D·H].
    between: Vec<Vec<T>>,
}

/// Row after row of the caller's, in the order of time: step by step, and sequence by sequence.
fn places(layout: &SequenceLayout) -> impl Iterator<Item = usize> + use<> {
    let (length, batch) = steps_of(layout);
    let by_sequence = layout.batched && layout.batch_first;
    (0..length).flat_map(move |t| (0..batch).map(move |n| if by_sequence { n * length + t } else { t * batch + n }))
}

/// Whether the caller's rows are in the order of time.
fn in_order(layout: &SequenceLayout) -> bool {
    !(layout.batched && layout.batch_first) || layout.batch == 1 || layout.length == 1
}

impl<T: Float> Stack<'_, T> {
    /// Zeros, kept or lent, refused as steps that cannot be stored.
    fn zeros(&self, layout: &SequenceLayout, len: usize, keep: bool) -> Result<Memory<T>> {
        Memory::zeros(len, keep).map_err(|_| self.sizes.too_large(layout))
    }

    /// A tensor of the caller's in the order of time, [L, N, features].
    fn in_time<'t>(&self, layout: &SequenceLayout, tensor: &'t Tensor<T>, features: usize) -> Result<Rows<'t, T>> {
        let elements = tensor.as_slice();
        if in_order(layout) {
            return Ok(Rows::Given(elements));
        }
        let mut ordered = self.zeros(layout, elements.len(), false)?;
        for (row, place) in ordered.chunks_exact_mut(features).zip(places(layout)) {
            row.copy_from_slice(&elements[place * features..][..features]);
        }
        Ok(Rows::Own(ordered))
    }

    /// The layer and direction with that number.
    fn direction(&self, layout: &SequenceLayout, number: usize) -> Direction<'_, T> {
        let RecurrentParameters { weight_ih, weight_hh, bias_ih, bias_hh } = &self.parameters[number];
        let Sizes { input_size, hidden_size, directions, .. } = self.sizes;
        let (length, batch) = steps_of(layout);
        Direction {
            length,
            batch,
            inputs: if number < directions { input_size } else { self.sizes.width() },
            hidden: hidden_size,
            reversed: number % directions == 1,
            weight_ih: weight_ih.as_slice(),
            weight_hh: weight_hh.as_slice(),
            bias_ih: bias_ih.as_ref().map(Tensor::as_slice),
            bias_hh: bias_hh.as_ref().map(Tensor::as_slice),
        }
    }

    /// The part of a mask that lies above a layer.
    fn above<'m>(&self, mask: Option<&'m Tensor<T>>, layer: usize, len: usize) -> Option<&'m [T]> {
        let mask = mask.filter(|_| layer + 1 < self.sizes.num_layers)?;
        Some(&mask.as_slice()[layer * len..][..len])
    }

    /// Every layer in every direction; writes the output and the last hidden states. Where nothing is to be kept, what it gives
    /// has no backward.
    pub fn forward<C: Cell<T, G, K>, const G: usize, const K: usize>(
        &self,
        cell: C,
        call: &Call<'_, T>,
        (output, h_n): (&mut [T], &mut [T]),
        keep: bool,
    ) -> Result<Run<T>> {
        let Sizes { input_size, hidden_size: size, num_layers, directions, .. } = self.sizes;
        let (layout, width) = (&call.layout, self.sizes.width());
        let (length, batch) = steps_of(layout);
        let state = batch * size;
        let mut run = Run { traces: Vec::new(), between: Vec::new() };
        let mut below = self.in_time(layout, call.input, input_size)?;
        for layer in 0..num_layers {
            let is_last = layer + 1 == num_layers;
            let mut above = self.zeros(layout, if is_last { 0 } else { length * batch * width }, keep)?;
            for direction in 0..directions {
                let number = layer * directions + direction;
                let of = self.direction(layout, number);
                let hx = call.hx.map(|hx| &hx.as_slice()[number * state..][..state]);
                let [states, kept] = of.lengths(cell, keep);
                let (mut states, mut kept) = (self.zeros(layout, states, keep)?, self.zeros(layout, kept, keep)?);
                let done = of.forward(cell, self.kernel, &below, hx, (&mut states, &mut kept));
                done.map_err(|_| self.sizes.too_large(layout))?;
                h_n[number * state..][..state].copy_from_slice(of.last(&states));
                let rows = of.outputs(&states).chunks_exact(size).enumerate();
                if is_last {
                    for ((_, row), place) in rows.zip(places(layout)) {
                        output[place * width + direction * size..][..size].copy_from_slice(row);
                    }
                } else {
                    for (place, row) in rows {
                        above[place * width + direction * size..][..size].copy_from_slice(row);
                    }
                }
                if let (Memory::Kept(states), Memory::Kept(kept)) = (states, kept) {
                    run.traces.push(Trace { states, kept });
                }
            }
            if let Some(mask) = self.above(call.mask, layer, above.len()) {
                above.iter_mut().zip(mask).for_each(|(y, &keep)| *y = *y * keep);
            }
            if let Rows::Own(Memory::Kept(done)) = std::mem::replace(&mut below, Rows::Own(above)) {
                run.between.push(done);
            }
        }
        Ok(run)
    }

    /// Back through layers and steps, from the last to the first; writes the gradients, over zeros.
    pub fn backward<C: Cell<T, G, K>, const G: usize, const K: usize>(
        &self,
        cell: C,
        call: &Call<'_, T>,
        run: &Run<T>,
        (grad_output, grad_h_n): (&Tensor<T>, Option<&Tensor<T>>),
        RecurrentGradients { input: gradient, hx, parameters }: &mut RecurrentGradients<T>,
    ) -> Result<()> {
        let Sizes { input_size, hidden_size: size, num_layers, directions, .. } = self.sizes;
        let (layout, width) = (&call.layout, self.sizes.width());
        let (length, batch) = steps_of(layout);
        let (steps, state) = (length * batch, batch * size);
        let states = hx.as_mut_slice();
        if let Some(grad) = grad_h_n {
            states.copy_from_slice(grad.as_slice());
        }
        let input = self.in_time(layout, call.input, input_size)?;
        let mut above = self.in_time(layout, grad_output, width)?;
        for layer in (0..num_layers).rev() {
            if let Some(mask) = self.above(call.mask, layer, steps * width) {
                let mut dropped = self.zeros(layout, steps * width, false)?;
                let kept = above.iter().zip(mask);
                dropped.iter_mut().zip(kept).for_each(|(dropped, (&g, &keep))| *dropped = g * keep);
                above = Rows::Own(dropped);
            }
            let x = if layer == 0 { &*input } else { &run.between[layer - 1] };
            let mut below = self.zeros(layout, x.len(), false)?;
            for direction in 0..directions {
                let number = layer * directions + direction;
                let of = self.direction(layout, number);
                let of_outputs = match directions {
                    1 => Rows::Given(&above),
                    _ => {
                        let mut own = self.zeros(layout, steps * size, false)?;
                        for (own, row) in own.chunks_exact_mut(size).zip(above.chunks_exact(width)) {
                            own.copy_from_slice(&row[direction * size..][..size]);
                        }
                        Rows::Own(own)
                    }
                };
                let RecurrentParameters { weight_ih, weight_hh, bias_ih, bias_hh } = &mut parameters[number];
                let gradients = Gradients {
                    weight_ih: weight_ih.as_mut_slice(),
                    weight_hh: weight_hh.as_mut_slice(),
                    bias_ih: bias_ih.as_mut().map(Tensor::as_mut_slice),
                    bias_hh: bias_hh.as_mut().map(Tensor::as_mut_slice),
                };
                let mut other = self.zeros(layout, if direction == 0 { 0 } else { below.len() }, false)?;
                let dx = if direction == 0 { &mut below } else { &mut other };
                let of_state = &mut states[number * state..][..state];
                let done =
                    of.backward(cell, self.kernel, (x, &run.traces[number]), (&of_outputs, of_state), (gradients, dx));
                done.map_err(|_| self.sizes.too_large(layout))?;
                below.iter_mut().zip(other.iter()).for_each(|(sum, &term)| *sum += term);
            }
            above = Rows::Own(below);
        }
        let gradient = gradient.as_mut_slice();
        for (row, place) in above.chunks_exact(input_size).zip(places(layout)) {
            gradient[place * input_size..][..input_size].copy_from_slice(row);
        }
        Ok(())
    }
}
