//! Layers in lists: what visits parameters sees all of them, under the names that gradients and state dictionaries have; what
//! changes them changes the layer.

use rand::{SeedableRng, rngs::SmallRng};
use vocabulary::{
    BatchNorm2dOptions, BatchNorm2dState, Conv2dOptions, GRUOptions, Layer, LinearOptions, MaxPool2dOptions,
    RNNOptions, SoftmaxOptions, Tensor,
};

fn rng() -> SmallRng {
    SmallRng::seed_from_u64(super::seed())
}

fn check(name: &str, mut layer: Box<dyn Layer<f64>>, input: &[usize], expected: &[&str]) {
    let input = Tensor::from_fn(input, |i| (i.iter().sum::<usize>() % 5) as f64 / 4.0 - 0.4).unwrap();
    let (output, saved) = layer.forward_pass(&input).unwrap();
    assert_eq!(layer.forward(&input).unwrap().shape(), output.shape(), "{name}");
    assert_eq!(layer.output_shape(input.shape()).unwrap(), output.shape(), "{name}");
    let cotangent = Tensor::full(output.shape(), 0.5).unwrap();
    let gradients = layer.backward(&saved, &cotangent).unwrap();
    assert_eq!(gradients.input.shape(), input.shape(), "{name}");
    let mut seen: Vec<(String, Vec<usize>)> = Vec::new();
    layer.visit_parameters(&mut |name, tensor| seen.push((name.to_owned(), tensor.shape().to_vec())));
    assert_eq!(seen.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), expected, "{name}");
    let of_gradients: Vec<_> =
        gradients.parameters.iter().map(|(name, g)| (name.to_string(), g.shape().to_vec())).collect();
    assert_eq!(of_gradients, seen, "{name}");
    // A step down the gradient, as an optimiser takes it.
    let mut visited = 0;
    layer.visit_parameters_mut(&mut |name, elements| {
        assert_eq!(name, expected[visited]);
        let gradient = gradients.parameters[visited].1.as_slice();
        assert_eq!(elements.len(), gradient.len());
        elements.iter_mut().zip(gradient).for_each(|(x, g)| *x -= 0.125 * g + 0.25);
        visited += 1;
    });
    assert_eq!(visited, expected.len(), "{name}");
    if visited > 0 {
        assert_ne!(layer.forward_pass(&input).unwrap().0, output, "{name} computes as if nothing had changed");
    }
}

macro_rules! of_crate {
    ($test:ident, $layers:ident) => {
        #[test]
        fn $test() {
            let linear = $layers::Linear::<f64>::init(LinearOptions::new(3, 2), &mut rng()).unwrap();
            check("Linear", Box::new(linear), &[4, 3], &["weight", "bias"]);
            let linear = $layers::Linear::<f64>::init(LinearOptions::new(3, 2).bias(false), &mut rng()).unwrap();
            check("Linear without bias", Box::new(linear), &[4, 3], &["weight"]);
            let norm = $layers::BatchNorm2d::<f64>::new(BatchNorm2dOptions::new(3)).unwrap();
            check("BatchNorm2d", Box::new(norm), &[2, 3, 2, 2], &["weight", "bias"]);
            let without = BatchNorm2dOptions::new(3).bias(false);
            let norm = $layers::BatchNorm2d::<f64>::new(without).unwrap();
            check("BatchNorm2d without bias", Box::new(norm), &[2, 3, 2, 2], &["weight"]);
            let norm = $layers::BatchNorm2d::<f64>::new(BatchNorm2dOptions::new(3).affine(false)).unwrap();
            check("BatchNorm2d, not affine", Box::new(norm), &[2, 3, 2, 2], &[]);
            let conv = $layers::Conv2d::<f64>::init(Conv2dOptions::new(2, 3, 2), &mut rng()).unwrap();
            check("Conv2d", Box::new(conv), &[1, 2, 3, 3], &["weight", "bias"]);
            let conv = $layers::Conv2d::<f64>::init(Conv2dOptions::new(2, 3, 2).bias(false), &mut rng()).unwrap();
            check("Conv2d without bias", Box::new(conv), &[1, 2, 3, 3], &["weight"]);
            let pool = $layers::MaxPool2d::new(MaxPool2dOptions::new(2)).unwrap();
            check("MaxPool2d", Box::new(pool), &[1, 2, 4, 5], &[]);
            let relu = $layers::ReLU::new(vocabulary::ReLUOptions::new()).unwrap();
            check("ReLU", Box::new(relu), &[2, 3], &[]);
            let elu = $layers::ELU::new(vocabulary::ELUOptions::new()).unwrap();
            check("ELU", Box::new(elu), &[2, 3], &[]);
            let softmax = $layers::Softmax::new(SoftmaxOptions::new().dim(-1)).unwrap();
            check("Softmax", Box::new(softmax), &[2, 3], &[]);
            let names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"];
            let rnn = $layers::RNN::<f64>::init(RNNOptions::new(2, 3), &mut rng()).unwrap();
            check("RNN", Box::new(rnn), &[4, 1, 2], &names);
            let gru = $layers::GRU::<f64>::init(GRUOptions::new(2, 3), &mut rng()).unwrap();
            check("GRU", Box::new(gru), &[4, 1, 2], &names);
            let both = GRUOptions::new(2, 3).num_layers(2).bidirectional(true).bias(false);
            let gru = $layers::GRU::<f64>::init(both, &mut rng()).unwrap();
            let names = ["_l0", "_l0_reverse", "_l1", "_l1_reverse"]
                .map(|suffix| ["weight_ih", "weight_hh"].map(|name| format!("{name}{suffix}")));
            let names: Vec<&str> = names.iter().flatten().map(String::as_str).collect();
            check("GRU of several layers", Box::new(gru), &[4, 1, 2], &names);
            let options = || vocabulary::EmbeddingOptions::new(4, 3);
            let mut embedding = $layers::Embedding::<f64>::init(options(), &mut rng()).unwrap();
            embedding.visit_parameters_mut(&mut |name, elements| {
                assert_eq!(name, "weight");
                elements.fill(0.5);
            });
            let mut seen = 0;
            embedding.visit_parameters(&mut |name, tensor| {
                assert!(name == "weight" && tensor == &Tensor::full(&[4, 3], 0.5).unwrap());
                seen += 1;
            });
            assert_eq!(seen, 1);
            // The count of batches is a number, not a list of one.
            let norm = $layers::BatchNorm2d::<f64>::new(BatchNorm2dOptions::new(3)).unwrap();
            let mut state = norm.state_dict();
            assert!($layers::BatchNorm2d::<f64>::from_state_dict(BatchNorm2dOptions::new(3), &state).is_ok());
            state.insert("num_batches_tracked", vocabulary::StateTensor::I64(Tensor::from_vec(&[1], vec![0]).unwrap()));
            let error = $layers::BatchNorm2d::<f64>::from_state_dict(BatchNorm2dOptions::new(3), &state).unwrap_err();
            assert_eq!(error.argument(), "num_batches_tracked");
        }
    };
}

of_crate!(reference_visits_every_parameter, reference);
of_crate!(optimized_visits_every_parameter, optimized);

/// `set_training` of a list's layer is its own `train` or `eval`.
#[test]
fn training_is_set_through_the_trait() {
    let input = Tensor::from_vec(&[2, 1, 1, 1], vec![1.0, 3.0]).unwrap();
    let state = BatchNorm2dState {
        weight: None,
        bias: None,
        running_mean: Some(Tensor::full(&[1], 0.0).unwrap()),
        running_var: Some(Tensor::full(&[1], 1.0).unwrap()),
        num_batches_tracked: Some(0),
    };
    let mut norm =
        reference::BatchNorm2d::<f64>::with_parameters(BatchNorm2dOptions::new(1).affine(false), state).unwrap();
    norm.eval();
    assert!(!norm.is_training());
    norm.train();
    assert!(norm.is_training());
    let mut layer: Box<dyn Layer<f64>> = Box::new(norm);
    let training = layer.forward(&input).unwrap();
    layer.set_training(false);
    let evaluation = layer.forward(&input).unwrap();
    assert!(training.as_slice()[0] < 0.0 && evaluation.as_slice()[0] > 0.0, "{training} and {evaluation}");
    layer.set_training(true);
    assert_eq!(layer.forward(&input).unwrap(), training);
}
