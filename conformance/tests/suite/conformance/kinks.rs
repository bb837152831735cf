//! The conventions at kinks and at special values, as PyTorch 2.15 has them, in both crates.

use rand::{SeedableRng, rngs::SmallRng};
use vocabulary::{BatchNorm2dOptions, LinearOptions, MSELossOptions, ReLUOptions, SigmoidOptions, Tensor};

macro_rules! in_both_crates {
    ($($test:ident($layers:ident) $body:block)*) => {$(
        mod $test {
            use super::*;
            #[test]
            fn reference() {
                use reference as $layers;
                $body
            }
            #[test]
            fn optimized() {
                use optimized as $layers;
                $body
            }
        }
    )*};
}

fn tensor(values: &[f32]) -> Tensor<f32> {
    Tensor::from_vec(&[values.len()], values.to_vec()).unwrap()
}

in_both_crates! {
    relu_at_zero_and_nan(layers) {
        let mut relu = layers::ReLU::new(ReLUOptions::new()).unwrap();
        let pass = relu.forward_pass(&tensor(&[0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY])).unwrap();
        let y = pass.output.as_slice();
        assert!(y[0].is_sign_positive() && y[1].to_bits() == (-0.0_f32).to_bits() && y[2].is_nan());
        assert_eq!(y[3..], [f32::INFINITY, 0.0]);
        let gradients = layers::ReLU::backward(&relu, &pass, &tensor(&[2.0, 3.0, 4.0, 5.0, 6.0])).unwrap();
        assert_eq!(gradients.input.as_slice(), [0.0, 0.0, 4.0, 5.0, 0.0]);
    }

    sigmoid_at_infinity_and_nan(layers) {
        let sigmoid = layers::Sigmoid::new(SigmoidOptions::new()).unwrap();
        let y = sigmoid.forward(&tensor(&[f32::INFINITY, f32::NEG_INFINITY, 0.0, f32::NAN])).unwrap();
        assert_eq!(y.as_slice()[..3], [1.0, 0.0, 0.5]);
        assert!(y.as_slice()[3].is_nan());
    }

    the_mean_of_no_loss_is_nan(layers) {
        let loss = layers::MSELoss::new(MSELossOptions::new()).unwrap();
        assert!(loss.forward(&tensor(&[]), &tensor(&[])).unwrap().as_slice()[0].is_nan());
    }

    an_empty_batch_moves_only_the_count(layers) {
        let mut norm = layers::BatchNorm2d::<f32>::new(BatchNorm2dOptions::new(2)).unwrap();
        norm.forward_pass(&Tensor::full(&[0, 2, 3, 3], 0.0).unwrap()).unwrap();
        let state = norm.state();
        assert_eq!(state.num_batches_tracked, Some(1));
        assert_eq!(state.running_mean.as_ref().unwrap().as_slice(), [0.0, 0.0]);
        assert_eq!(state.running_var.as_ref().unwrap().as_slice(), [1.0, 1.0]);
    }

    huge_shapes_without_elements_take_no_time(layers) {
        let shape = [1 << 50, 2, 0];
        let input = Tensor::full(&shape, 0.0_f32).unwrap();
        let empty = |shape: &[usize]| Tensor::full(shape, 0.0_f32).unwrap();
        let mut linear = layers::Linear::with_parameters(LinearOptions::new(0, 0), empty(&[0, 0]), Some(empty(&[0])));
        let linear = linear.as_mut().unwrap();
        let pass = linear.forward_pass(&input).unwrap();
        assert_eq!(linear.backward(&pass, &input).unwrap().input.shape(), shape);
        let bare = BatchNorm2dOptions::new(1 << 50).affine(false).track_running_stats(false);
        let mut norm = layers::BatchNorm2d::<f32>::new(bare).unwrap();
        let input = empty(&[0, 1 << 50, 1, 1]);
        let pass = norm.forward_pass(&input).unwrap();
        assert_eq!(norm.backward(&pass, &input).unwrap().input.shape(), [0, 1 << 50, 1, 1]);
    }

    what_cannot_be_stored_is_refused_in_the_layers_name(layers) {
        let mut rng = SmallRng::seed_from_u64(0);
        let error = layers::Linear::<f32>::init(LinearOptions::new(1 << 40, 1 << 40), &mut rng).unwrap_err();
        assert_eq!((error.layer(), error.argument()), ("Linear", "weight"));
        let error = layers::BatchNorm2d::<f32>::new(BatchNorm2dOptions::new(usize::MAX)).unwrap_err();
        assert_eq!((error.layer(), error.argument()), ("BatchNorm2d", "weight"));
        let input = Tensor::full(&[1 << 30, 0], 0.0_f32).unwrap();
        let linear = layers::Linear::<f32>::init(LinearOptions::new(0, 1 << 31).bias(false), &mut rng).unwrap();
        let error = linear.forward(&input).unwrap_err();
        assert_eq!((error.layer(), error.argument()), ("Linear", "output"));
    }

    a_mean_a_million_deviations_away_is_taken_out_exactly(layers) {
        // Multiples of 1/16 about 2²⁰: every input, difference and sum is exact, so the output is nearly so.
        let values: Vec<f32> = (0..64).map(|i| 1_048_576.0 + ((i * 7) % 16) as f32 / 16.0).collect();
        let input = Tensor::from_vec(&[4, 1, 4, 4], values.clone()).unwrap();
        let norm = layers::BatchNorm2d::<f32>::new(BatchNorm2dOptions::new(1)).unwrap();
        let output = norm.forward(&input).unwrap();
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / 64.0;
        let variance = values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / 64.0;
        for (y, x) in output.as_slice().iter().zip(values) {
            let truth = (f64::from(x) - mean) / (variance + 1e-5).sqrt();
            assert!((f64::from(*y) - truth).abs() <= 3.0 * f64::from(f32::EPSILON) * truth.abs(), "{y} is not {truth}");
        }
    }
}
