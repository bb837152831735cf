//! The kernels, each named by its method. They take slices whose sizes the layers have checked.

pub mod columns;
pub mod conv2d;
pub mod dot;
pub mod elementwise;
pub mod gemm;
pub mod loss;
pub mod max_pool2d;
pub mod norm;
pub mod packed;
pub mod strided;
mod tiles;
pub mod windows;
