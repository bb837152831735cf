//! The signatures that both crates share, stated once and compiled for each: a user changes `use reference::Linear` to
//! `use optimized::Linear`, and nothing else.

use rand::{SeedableRng, rngs::SmallRng};
use vocabulary::*;

type Shape = Result<Vec<usize>>;
type Output<T> = Result<Tensor<T>>;

macro_rules! signatures {
    ($module:ident, $layers:ident) => {
        mod $module {
            use super::*;
            use $layers::{
                BCELoss, BCELossPass, BCEWithLogitsLoss, BCEWithLogitsLossPass, BatchNorm2d, BatchNorm2dPass, Conv2d,
                Conv2dPass, CrossEntropyLoss, CrossEntropyLossPass, ELU, ELUPass, Embedding, EmbeddingPass, GRU,
                GRUPass, L1Loss, L1LossPass, LeakyReLU, LeakyReLUPass, Linear, LinearPass, LogSigmoid, LogSigmoidPass,
                MSELoss, MSELossPass, MaxPool2d, MaxPool2dPass, RNN, RNNPass, ReLU, ReLUPass, Sigmoid, SigmoidPass,
                Softmax, SoftmaxPass, Tanh, TanhPass,
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

            fn conv2d<T: Number + vocabulary::StateElement>() {
                let _: fn(Conv2dOptions, &mut SmallRng) -> Result<Conv2d<T>> =
                    |options, rng| Conv2d::init(options, rng);
                let _: fn(Conv2dOptions, Tensor<T>, Option<Tensor<T>>) -> Result<Conv2d<T>> = Conv2d::with_parameters;
                let _: fn(Conv2dOptions, &StateDict) -> Result<Conv2d<T>> = Conv2d::from_state_dict;
                let _: fn(&Conv2d<T>) -> StateDict = Conv2d::state_dict;
                let _: fn(&Conv2d<T>) -> &Conv2dOptions = Conv2d::options;
                let _: fn(&Conv2d<T>) -> &Tensor<T> = Conv2d::weight;
                let _: fn(&Conv2d<T>) -> Option<&Tensor<T>> = Conv2d::bias;
                let _: fn(&Conv2d<T>, &[usize]) -> Shape = Conv2d::output_shape;
                let _: fn(&Conv2d<T>, &Tensor<T>) -> Output<T> = Conv2d::forward;
                let _: fn(&mut Conv2d<T>, &Tensor<T>) -> Result<Conv2dPass<T>> = Conv2d::forward_pass;
                let _: fn(&Conv2d<T>, &Conv2dPass<T>, &Tensor<T>) -> Result<Conv2dGradients<T>> = Conv2d::backward;
                let _: fn(Conv2dPass<T>) -> Tensor<T> = |pass| pass.output;
                let _: fn(Conv2d<T>) -> Box<dyn Layer<T>> = |layer| Box::new(layer);
            }

            fn max_pool2d<T: Number + 'static>() {
                let _: fn(MaxPool2dOptions) -> Result<MaxPool2d> = MaxPool2d::new;
                let _: fn(&MaxPool2d) -> &MaxPool2dOptions = MaxPool2d::options;
                let _: fn(&MaxPool2d, &[usize]) -> Shape = MaxPool2d::output_shape;
                let _: fn(&mut MaxPool2d, &Tensor<T>) -> Result<MaxPool2dPass<T>> = MaxPool2d::forward_pass::<T>;
                let _: fn(&MaxPool2d, &MaxPool2dPass<T>, &Tensor<T>) -> Result<MaxPool2dGradients<T>> =
                    MaxPool2d::backward::<T>;
                let _: fn(MaxPool2dPass<T>) -> Tensor<T> = |pass| pass.output;
                let _: fn(MaxPool2d) -> Box<dyn Layer<T>> = |layer| Box::new(layer);
            }

            /// Of a layer of one input.
            macro_rules! of_one_input {
                ($layer:ident, $pass:ident, $options:ident, $gradients:ident) => {{
                    let _: fn($options) -> Result<$layer> = $layer::new;
                    let _: fn(&$layer) -> &$options = $layer::options;
                    let _: fn(&$layer, &[usize]) -> Shape = $layer::output_shape;
                    let _: fn(&$layer, &Tensor<T>) -> Output<T> = $layer::forward::<T>;
                    let _: fn(&mut $layer, &Tensor<T>) -> Result<$pass<T>> = $layer::forward_pass::<T>;
                    let _: fn(&$layer, &$pass<T>, &Tensor<T>) -> Result<$gradients<T>> = $layer::backward::<T>;
                    let _: fn($pass<T>) -> Tensor<T> = |pass| pass.output;
                    let _: fn($gradients<T>) -> Tensor<T> = |gradients| gradients.input;
                    let _: fn($layer) -> Box<dyn Layer<T>> = |layer| Box::new(layer);
                }};
            }

            fn layers_of_one_input<T: Number>() {
                of_one_input!(ReLU, ReLUPass, ReLUOptions, ReLUGradients);
                of_one_input!(LeakyReLU, LeakyReLUPass, LeakyReLUOptions, LeakyReLUGradients);
                of_one_input!(ELU, ELUPass, ELUOptions, ELUGradients);
                of_one_input!(Sigmoid, SigmoidPass, SigmoidOptions, SigmoidGradients);
                of_one_input!(LogSigmoid, LogSigmoidPass, LogSigmoidOptions, LogSigmoidGradients);
                of_one_input!(Tanh, TanhPass, TanhOptions, TanhGradients);
                of_one_input!(Softmax, SoftmaxPass, SoftmaxOptions, SoftmaxGradients);
            }

            /// Of a loss of numbers, whose own type is the first.
            macro_rules! of_loss {
                ($loss:ty, $name:ident, $pass:ident, $options:ident, $gradients:ident) => {{
                    let _: fn($options) -> Result<$loss> = $name::new;
                    let _: fn(&$loss) -> &$options = $name::options;
                    let _: fn(&$loss, &[usize], &[usize]) -> Shape = $name::output_shape;
                    let _: fn(&$loss, &Tensor<T>, &Tensor<T>) -> Output<T> = |loss, x, t| loss.forward(x, t);
                    let _: fn(&mut $loss, &Tensor<T>, &Tensor<T>) -> Result<$pass<T>> =
                        |loss, x, t| loss.forward_pass(x, t);
                    let _: fn(&$loss, &$pass<T>, &Tensor<T>) -> Result<$gradients<T>> =
                        |loss, pass, g| loss.backward(pass, g);
                    let _: fn($pass<T>) -> Tensor<T> = |pass| pass.output;
                    let _: fn($gradients<T>) -> (Tensor<T>, Tensor<T>) =
                        |gradients| (gradients.input, gradients.target);
                }};
            }

            fn losses<T: Number + vocabulary::StateElement>() {
                of_loss!(MSELoss, MSELoss, MSELossPass, MSELossOptions, MSELossGradients);
                of_loss!(L1Loss, L1Loss, L1LossPass, L1LossOptions, L1LossGradients);
                of_loss!(BCELoss<T>, BCELoss, BCELossPass, BCELossOptions, BCELossGradients);
                of_loss!(
                    BCEWithLogitsLoss<T>,
                    BCEWithLogitsLoss,
                    BCEWithLogitsLossPass,
                    BCEWithLogitsLossOptions,
                    BCEWithLogitsLossGradients
                );
                let _: fn(BCELossOptions, Option<Tensor<T>>) -> Result<BCELoss<T>> = BCELoss::with_weight;
                let _: fn(BCELossOptions, &StateDict) -> Result<BCELoss<T>> = BCELoss::from_state_dict;
                let _: fn(&BCELoss<T>) -> StateDict = BCELoss::state_dict;
                let _: fn(&BCELoss<T>) -> Option<&Tensor<T>> = BCELoss::weight;
                let _: fn(
                    BCEWithLogitsLossOptions,
                    Option<Tensor<T>>,
                    Option<Tensor<T>>,
                ) -> Result<BCEWithLogitsLoss<T>> = BCEWithLogitsLoss::with_weights;
                let _: fn(BCEWithLogitsLossOptions, &StateDict) -> Result<BCEWithLogitsLoss<T>> =
                    BCEWithLogitsLoss::from_state_dict;
                let _: fn(&BCEWithLogitsLoss<T>) -> StateDict = BCEWithLogitsLoss::state_dict;
                let _: fn(&BCEWithLogitsLoss<T>) -> Option<&Tensor<T>> = BCEWithLogitsLoss::weight;
                let _: fn(&BCEWithLogitsLoss<T>) -> Option<&Tensor<T>> = BCEWithLogitsLoss::pos_weight;
            }

            fn cross_entropy_loss<T: Number + vocabulary::StateElement>() {
                type Loss<T> = CrossEntropyLoss<T>;
                let _: fn(CrossEntropyLossOptions) -> Result<Loss<T>> = Loss::new;
                let _: fn(CrossEntropyLossOptions, Option<Tensor<T>>) -> Result<Loss<T>> = Loss::with_weight;
                let _: fn(CrossEntropyLossOptions, &StateDict) -> Result<Loss<T>> = Loss::from_state_dict;
                let _: fn(&Loss<T>) -> StateDict = Loss::state_dict;
                let _: fn(&Loss<T>) -> &CrossEntropyLossOptions = Loss::options;
                let _: fn(&Loss<T>) -> Option<&Tensor<T>> = Loss::weight;
                let _: fn(&Loss<T>, &[usize], &[usize]) -> Shape = Loss::output_shape;
                let _: fn(&Loss<T>, &Tensor<T>, &Tensor<i64>) -> Output<T> = |loss, x, t| loss.forward(x, t);
                let _: fn(&Loss<T>, &Tensor<T>, &CrossEntropyTarget<T>) -> Output<T> = |loss, x, t| loss.forward(x, t);
                let _: fn(&mut Loss<T>, &Tensor<T>, &Tensor<i64>) -> Result<CrossEntropyLossPass<T>> =
                    |loss, x, t| loss.forward_pass(x, t);
                let _: fn(&Loss<T>, &CrossEntropyLossPass<T>, &Tensor<T>) -> Result<CrossEntropyLossGradients<T>> =
                    Loss::backward;
                let _: fn(CrossEntropyLossPass<T>) -> Tensor<T> = |pass| pass.output;
            }

            fn embedding<T: Number + vocabulary::StateElement>() {
                let _: fn(EmbeddingOptions, &mut SmallRng) -> Result<Embedding<T>> =
                    |options, rng| Embedding::init(options, rng);
                let _: fn(EmbeddingOptions, Tensor<T>) -> Result<Embedding<T>> = Embedding::with_parameters;
                let _: fn(EmbeddingOptions, &StateDict) -> Result<Embedding<T>> = Embedding::from_state_dict;
                let _: fn(&Embedding<T>) -> StateDict = Embedding::state_dict;
                let _: fn(&Embedding<T>) -> &EmbeddingOptions = Embedding::options;
                let _: fn(&Embedding<T>) -> &Tensor<T> = Embedding::weight;
                let _: fn(&Embedding<T>, &mut dyn FnMut(&str, &Tensor<T>)) = Embedding::visit_parameters;
                let _: fn(&mut Embedding<T>, &mut dyn FnMut(&str, &mut [T])) = Embedding::visit_parameters_mut;
                let _: fn(&Embedding<T>, &[usize]) -> Shape = Embedding::output_shape;
                let _: fn(&Embedding<T>, &Tensor<i64>) -> Output<T> = |layer, input| layer.forward(input);
                let _: fn(&Embedding<T>, &Tensor<i32>) -> Output<T> = |layer, input| layer.forward(input);
                let _: fn(&mut Embedding<T>, &Tensor<i64>) -> Result<EmbeddingPass<T>> =
                    |layer, input| layer.forward_pass(input);
                let _: fn(&Embedding<T>, &EmbeddingPass<T>, &Tensor<T>) -> Result<EmbeddingGradients<T>> =
                    Embedding::backward;
                let _: fn(EmbeddingPass<T>) -> Tensor<T> = |pass| pass.output;
            }

            macro_rules! of_sequences {
                ($layer:ident, $pass:ident, $options:ident) => {{
                    type Of<T> = $layer<T>;
                    type Given<'a, T> = Option<&'a Tensor<T>>;
                    let _: fn($options, &mut SmallRng) -> Result<Of<T>> = |options, rng| Of::init(options, rng);
                    let _: fn($options, Vec<RecurrentParameters<T>>) -> Result<Of<T>> = Of::with_parameters;
                    let _: fn($options, &StateDict) -> Result<Of<T>> = Of::from_state_dict;
                    let _: fn(&Of<T>) -> StateDict = Of::state_dict;
                    let _: fn(&Of<T>) -> &$options = Of::options;
                    let _: fn(&Of<T>) -> &[RecurrentParameters<T>] = Of::parameters;
                    let _: fn(&mut Of<T>, u64) = Of::seed_dropout;
                    let _: fn(&mut Of<T>) = Of::train;
                    let _: fn(&mut Of<T>) = Of::eval;
                    let _: fn(&Of<T>) -> bool = Of::is_training;
                    let _: fn(&Of<T>, &[usize]) -> Shape = Of::output_shape;
                    let _: fn(&Of<T>, &Tensor<T>, Given<T>) -> Result<RecurrentOutput<T>> = Of::forward;
                    let _: fn(&mut Of<T>, &Tensor<T>, Given<T>) -> Result<$pass<T>> = Of::forward_pass;
                    let _: fn(&mut Of<T>, &Tensor<T>, Given<T>, &Tensor<T>) -> Result<$pass<T>> =
                        Of::forward_pass_with_mask;
                    let _: fn(&Of<T>, &$pass<T>, &Tensor<T>, Given<T>) -> Result<RecurrentGradients<T>> = Of::backward;
                    let _: fn($pass<T>) -> (Tensor<T>, Tensor<T>, Option<Tensor<T>>) =
                        |pass| (pass.output, pass.h_n, pass.dropout_mask);
                    let _: fn(Of<T>) -> Box<dyn Layer<T>> = |layer| Box::new(layer);
                }};
            }

            fn recurrent<T: Number + vocabulary::StateElement>() {
                of_sequences!(RNN, RNNPass, RNNOptions);
                of_sequences!(GRU, GRUPass, GRUOptions);
            }

            /// That this compiles is the proof; it is called so that it is not dead.
            #[test]
            fn are_as_stated() {
                let stated: [fn(); 18] = [
                    linear::<f32>,
                    linear::<f64>,
                    batch_norm2d::<f32>,
                    batch_norm2d::<f64>,
                    conv2d::<f32>,
                    conv2d::<f64>,
                    max_pool2d::<f32>,
                    max_pool2d::<f64>,
                    layers_of_one_input::<f32>,
                    layers_of_one_input::<f64>,
                    losses::<f32>,
                    losses::<f64>,
                    cross_entropy_loss::<f32>,
                    cross_entropy_loss::<f64>,
                    embedding::<f32>,
                    embedding::<f64>,
                    recurrent::<f32>,
                    recurrent::<f64>,
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

/// So do the masks of dropout, which each pass draws where the one before has ended.
#[test]
fn equal_generators_give_equal_recurrent_layers_and_masks() {
    macro_rules! check {
        ($layer:ident, $options:expr) => {{
            let mut ours = reference::$layer::<f32>::init($options, &mut SmallRng::seed_from_u64(5)).unwrap();
            let mut theirs = optimized::$layer::<f32>::init($options, &mut SmallRng::seed_from_u64(5)).unwrap();
            assert_eq!(ours.state_dict(), theirs.state_dict());
            let state = ours.state_dict();
            assert_eq!(
                optimized::$layer::<f32>::from_state_dict($options, &state).unwrap().parameters(),
                ours.parameters()
            );
            let x = Tensor::from_fn(&[3, 2, 4], |i| (i[0] + 2 * i[1] + i[2]) as f32 / 5.0 - 0.7).unwrap();
            let mut masks = Vec::new();
            for draw in 0..4 {
                if draw == 2 {
                    ours.seed_dropout(9);
                    theirs.seed_dropout(9);
                }
                let next = theirs.forward(&x, None).unwrap();
                let (a, b) = (ours.forward_pass(&x, None).unwrap(), theirs.forward_pass(&x, None).unwrap());
                assert_eq!(a.dropout_mask, b.dropout_mask);
                assert_eq!((next.output, next.h_n), (b.output, b.h_n), "forward drops out what the next pass does");
                assert!(!masks.contains(&b.dropout_mask), "draw {draw}");
                masks.push(b.dropout_mask);
            }
            theirs.eval();
            assert!(!theirs.is_training() && theirs.forward_pass(&x, None).unwrap().dropout_mask.is_none());
            theirs.train();
            assert!(theirs.is_training() && theirs.forward_pass(&x, None).unwrap().dropout_mask.is_some());
        }};
    }
    check!(RNN, RNNOptions::new(4, 7).num_layers(3).bidirectional(true).dropout(0.4));
    check!(GRU, GRUOptions::new(4, 7).num_layers(3).bidirectional(true).dropout(0.4));
    check!(GRU, GRUOptions::new(4, 7).num_layers(2).bias(false).dropout(0.4));
}

/// What one crate refuses, the other refuses in the same words.
#[test]
fn recurrent_layers_refuse_in_the_same_words() {
    macro_rules! refusals {
        ($layers:ident, $layer:ident, $options:ident) => {{
            let mut rng = SmallRng::seed_from_u64(1);
            let options = || $options::new(2, 3).num_layers(2).dropout(0.5);
            let full = |shape: &[usize]| Tensor::full(shape, 0.5_f64).unwrap();
            let mut layer = $layers::$layer::<f64>::init(options(), &mut rng).unwrap();
            let pass = layer.forward_pass(&full(&[4, 1, 2]), None).unwrap();
            let one = $layers::$layer::<f64>::init($options::new(2, 3), &mut rng).unwrap();
            let words = |error: Option<Error>| error.unwrap().to_string();
            [
                words($layers::$layer::<f64>::init($options::new(2, 0), &mut rng).err()),
                words($layers::$layer::<f64>::init($options::new(1, usize::MAX), &mut rng).err()),
                words($layers::$layer::<f64>::init($options::new(1, 1).num_layers(1 << 62), &mut rng).err()),
                words($layers::$layer::<f64>::with_parameters(options(), one.parameters().to_vec()).err()),
                words($layers::$layer::<f64>::from_state_dict(options(), &one.state_dict()).err()),
                words(layer.output_shape(&[4, 1, 3]).err()),
                words(layer.forward(&full(&[4, 1, 3]), None).err()),
                words(layer.forward(&full(&[0, 1, 2]), None).err()),
                words(layer.forward(&full(&[4, 1, 2]), Some(&full(&[2, 2, 3]))).err()),
                words(layer.forward_pass_with_mask(&full(&[4, 1, 2]), None, &full(&[1, 4, 1, 2])).err()),
                words(one.backward(&pass, &full(&[4, 1, 3]), None).err()),
                words(layer.backward(&pass, &full(&[4, 3]), None).err()),
                words(layer.backward(&pass, &full(&[4, 1, 3]), Some(&full(&[1, 1, 3]))).err()),
            ]
        }};
    }
    assert_eq!(refusals!(reference, RNN, RNNOptions), refusals!(optimized, RNN, RNNOptions));
    assert_eq!(refusals!(reference, GRU, GRUOptions), refusals!(optimized, GRU, GRUOptions));
}
