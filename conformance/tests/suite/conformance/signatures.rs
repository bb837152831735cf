//! The signatures that both crates share, stated once and compiled for each: a user changes `use reference::Linear` to
//! `use optimized::Linear`, and nothing else.

use rand::{SeedableRng, rngs::SmallRng};
use vocabulary::{
    BatchNorm2dGradients, BatchNorm2dOptions, BatchNorm2dState, Layer, LinearGradients, LinearOptions,
    MSELossGradients, MSELossOptions, ReLUGradients, ReLUOptions, Result, SigmoidGradients, SigmoidOptions, StateDict,
    Tensor,
};

type Shape = Result<Vec<usize>>;
type Output<T> = Result<Tensor<T>>;

macro_rules! signatures {
    ($module:ident, $layers:ident) => {
        mod $module {
            use super::*;
            use $layers::{
                BatchNorm2d, BatchNorm2dPass, Linear, LinearPass, MSELoss, MSELossPass, ReLU, ReLUPass, Sigmoid,
                SigmoidPass,
            };

            fn linear<T>()
            where
                T: vocabulary::StateElement,
                Linear<T>: Layer<T>,
                T: Number,
            {
                let _: fn(LinearOptions, &mut SmallRng) -> Result<Linear<T>> =
                    |options, rng| Linear::init(options, rng);
                let _: fn(LinearOptions, Tensor<T>, Option<Tensor<T>>) -> Result<Linear<T>> = Linear::with_parameters;
                let _: fn(LinearOptions, &StateDict) -> Result<Linear<T>> = Linear::from_state_dict;
                let _: fn(&Linear<T>) -> StateDict = Linear::state_dict;
                let _: fn(&Linear<T>) -> &LinearOptions = Linear::options;
                let _: fn(&Linear<T>) -> &Tensor<T> = Linear::weight;
                let _: fn(&Linear<T>) -> Option<&Tensor<T>> = Linear::bias;
                let _: fn(&Linear<T>, &[usize]) -> Shape = Linear::output_shape;
                let _: fn(&Linear<T>, &Tensor<T>) -> Output<T> = Linear::forward;
                let _: fn(&mut Linear<T>, &Tensor<T>) -> Result<LinearPass<T>> = Linear::forward_pass;
                let _: fn(&Linear<T>, &LinearPass<T>, &Tensor<T>) -> Result<LinearGradients<T>> = Linear::backward;
                let _: fn(LinearPass<T>) -> Tensor<T> = |pass| pass.output;
            }

            fn batch_norm2d<T>()
            where
                T: vocabulary::StateElement,
                BatchNorm2d<T>: Layer<T>,
                T: Number,
            {
                let _: fn(BatchNorm2dOptions) -> Result<BatchNorm2d<T>> = BatchNorm2d::new;
                let _: fn(BatchNorm2dOptions, BatchNorm2dState<T>) -> Result<BatchNorm2d<T>> =
                    BatchNorm2d::with_parameters;
                let _: fn(BatchNorm2dOptions, &StateDict) -> Result<BatchNorm2d<T>> = BatchNorm2d::from_state_dict;
                let _: fn(&BatchNorm2d<T>) -> StateDict = BatchNorm2d::state_dict;
                let _: fn(&BatchNorm2d<T>) -> &BatchNorm2dOptions = BatchNorm2d::options;
                let _: fn(&BatchNorm2d<T>) -> &BatchNorm2dState<T> = BatchNorm2d::state;
                let _: fn(&mut BatchNorm2d<T>) = BatchNorm2d::train;
                let _: fn(&mut BatchNorm2d<T>) = BatchNorm2d::eval;
                let _: fn(&BatchNorm2d<T>) -> bool = BatchNorm2d::is_training;
                let _: fn(&BatchNorm2d<T>, &[usize]) -> Shape = BatchNorm2d::output_shape;
                let _: fn(&BatchNorm2d<T>, &Tensor<T>) -> Output<T> = BatchNorm2d::forward;
                let _: fn(&mut BatchNorm2d<T>, &Tensor<T>) -> Result<BatchNorm2dPass<T>> = BatchNorm2d::forward_pass;
                let _: fn(&BatchNorm2d<T>, &BatchNorm2dPass<T>, &Tensor<T>) -> Result<BatchNorm2dGradients<T>> =
                    BatchNorm2d::backward;
                let _: fn(BatchNorm2dPass<T>) -> Tensor<T> = |pass| pass.output;
            }

            fn elementwise<T: Number>()
            where
                ReLU: Layer<T>,
                Sigmoid: Layer<T>,
            {
                let _: fn(ReLUOptions) -> Result<ReLU> = ReLU::new;
                let _: fn(&ReLU) -> &ReLUOptions = ReLU::options;
                let _: fn(&ReLU, &[usize]) -> Shape = ReLU::output_shape;
                let _: fn(&ReLU, &Tensor<T>) -> Output<T> = ReLU::forward::<T>;
                let _: fn(&mut ReLU, &Tensor<T>) -> Result<ReLUPass<T>> = ReLU::forward_pass::<T>;
                let _: fn(&ReLU, &ReLUPass<T>, &Tensor<T>) -> Result<ReLUGradients<T>> = ReLU::backward::<T>;
                let _: fn(SigmoidOptions) -> Result<Sigmoid> = Sigmoid::new;
                let _: fn(&Sigmoid) -> &SigmoidOptions = Sigmoid::options;
                let _: fn(&Sigmoid, &[usize]) -> Shape = Sigmoid::output_shape;
                let _: fn(&Sigmoid, &Tensor<T>) -> Output<T> = Sigmoid::forward::<T>;
                let _: fn(&mut Sigmoid, &Tensor<T>) -> Result<SigmoidPass<T>> = Sigmoid::forward_pass::<T>;
                let _: fn(&Sigmoid, &SigmoidPass<T>, &Tensor<T>) -> Result<SigmoidGradients<T>> =
                    Sigmoid::backward::<T>;
            }

            fn losses<T: Number>() {
                let _: fn(MSELossOptions) -> Result<MSELoss> = MSELoss::new;
                let _: fn(&MSELoss) -> &MSELossOptions = MSELoss::options;
                let _: fn(&MSELoss, &[usize], &[usize]) -> Shape = MSELoss::output_shape;
                let _: fn(&MSELoss, &Tensor<T>, &Tensor<T>) -> Output<T> = MSELoss::forward::<T>;
                let _: fn(&mut MSELoss, &Tensor<T>, &Tensor<T>) -> Result<MSELossPass<T>> = MSELoss::forward_pass::<T>;
                let _: fn(&MSELoss, &MSELossPass<T>, &Tensor<T>) -> Result<MSELossGradients<T>> =
                    MSELoss::backward::<T>;
            }

            /// That this compiles is the proof; it is called so that it is not dead.
            #[test]
            fn are_as_stated() {
                let stated: [fn(); 8] = [
                    linear::<f32>,
                    linear::<f64>,
                    batch_norm2d::<f32>,
                    batch_norm2d::<f64>,
                    elementwise::<f32>,
                    elementwise::<f64>,
                    losses::<f32>,
                    losses::<f64>,
                ];
                stated.iter().for_each(|stated| stated());
            }
        }
    };
}

/// What each crate asks of its elements, under one name.
mod numbers {
    pub trait Number: reference::Real + optimized::Float {}
    impl Number for f32 {}
    impl Number for f64 {}
}
use numbers::Number;

signatures!(of_reference, reference);
signatures!(of_optimized, optimized);

#[test]
fn equal_generators_give_equal_initial_values() {
    let options = || LinearOptions::new(17, 9);
    let ours = reference::Linear::<f32>::init(options(), &mut SmallRng::seed_from_u64(5)).unwrap();
    let theirs = optimized::Linear::<f32>::init(options(), &mut SmallRng::seed_from_u64(5)).unwrap();
    assert_eq!(ours.state_dict(), theirs.state_dict());
    let others = reference::Linear::<f32>::init(options(), &mut SmallRng::seed_from_u64(6)).unwrap();
    assert_ne!(ours.state_dict(), others.state_dict());
    let bound = 1.0 / 17.0_f32.sqrt();
    assert!(ours.weight().as_slice().iter().all(|w| w.abs() <= bound));
    let mean = ours.weight().as_slice().iter().sum::<f32>() / 153.0;
    assert!(mean.abs() < bound / 4.0, "the mean of 153 draws is {mean}");
}
