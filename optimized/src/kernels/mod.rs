//! The kernels, each named by its method. They take slices whose sizes the layers have checked.

pub mod activations;
pub mod columns;
pub mod conv2d;
pub mod cross_entropy;
pub mod difference;
pub mod dot;
pub mod elementwise;
pub mod embedding;
pub mod entropy;
pub mod gemm;
pub mod max_pool2d;
pub mod norm;
pub mod packed;
pub mod probabilities;
pub mod products;
pub mod recurrent;
pub mod softmax;
pub mod strided;
mod tiles;
pub mod windows;
