//! Initial parameters follow PyTorch's distributions: their bounds hold, and mean and variance of many draws lie within six
//! standard errors of the distribution's.

use rand::{SeedableRng, rngs::SmallRng};
use reference::{Conv2d, Embedding, GRU, Linear, RNN};
use vocabulary::{Conv2dOptions, EmbeddingOptions, GRUOptions, LinearOptions, RNNOptions, RecurrentParameters, Tensor};

/// Six standard errors: a test of this kind fails once in 10⁹ runs by chance, and then for this seed always.
const ERRORS: f64 = 6.0;

fn rng() -> SmallRng {
    SmallRng::seed_from_u64(super::seed())
}

/// Holds draws against a distribution's mean 0, its variance, and the variance of its squares.
fn check_moments(what: &str, draws: &[f64], variance: f64, variance_of_squares: f64) {
    let n = draws.len() as f64;
    let mean = draws.iter().sum::<f64>() / n;
    let second = draws.iter().map(|x| x * x).sum::<f64>() / n;
    assert!(mean.abs() <= ERRORS * (variance / n).sqrt(), "{what}: the mean of {n} draws is {mean}");
    let error = (second - variance).abs();
    assert!(
        error <= ERRORS * (variance_of_squares / n).sqrt(),
        "{what}: the second moment is {second}, not {variance}"
    );
}

/// Uniform on [−bound, bound): variance b²/3, variance of squares b⁴·(1/5 − 1/9); and both ends are reached.
fn check_uniform(what: &str, tensor: &Tensor<f64>, bound: f64) {
    let draws = tensor.as_slice();
    assert!(draws.len() >= 500, "{what} has only {} draws", draws.len());
    check_moments(what, draws, bound.powi(2) / 3.0, bound.powi(4) * (1.0 / 5.0 - 1.0 / 9.0));
    let (least, most) = draws.iter().fold((0.0_f64, 0.0_f64), |(least, most), &x| (least.min(x), most.max(x)));
    assert!(least >= -bound && most < bound, "{what} leaves its bounds");
    assert!(least < -0.97 * bound && most > 0.97 * bound, "{what} does not reach its bounds");
}

#[test]
fn linear_is_uniform() {
    let layer = Linear::<f64>::init(LinearOptions::new(25, 600), &mut rng()).unwrap();
    check_uniform("weight", layer.weight(), 0.2);
    check_uniform("bias", layer.bias().unwrap(), 0.2);
}

#[test]
fn conv2d_is_uniform_by_what_a_window_reads() {
    // Each output reads (6 / 2)·4·3 = 36 numbers.
    let layer = Conv2d::<f64>::init(Conv2dOptions::new(6, 600, (4, 3)).groups(2), &mut rng()).unwrap();
    check_uniform("weight", layer.weight(), 1.0 / 6.0);
    check_uniform("bias", layer.bias().unwrap(), 1.0 / 6.0);
}

#[test]
fn recurrent_layers_are_uniform_by_their_hidden_size() {
    let check = |layer: &str, parameters: &[RecurrentParameters<f64>], count: usize| {
        assert_eq!(parameters.len(), count);
        let mut biases = Vec::new();
        for (number, one) in parameters.iter().enumerate() {
            check_uniform(&format!("{layer}, weight_ih {number}"), &one.weight_ih, 0.125);
            check_uniform(&format!("{layer}, weight_hh {number}"), &one.weight_hh, 0.125);
            biases.extend([&one.bias_ih, &one.bias_hh].into_iter().flatten().flat_map(|bias| bias.as_slice().to_vec()));
        }
        check_uniform(&format!("{layer}, biases"), &Tensor::from_vec(&[biases.len()], biases).unwrap(), 0.125);
    };
    let rnn = RNN::<f64>::init(RNNOptions::new(9, 64).num_layers(3).bidirectional(true), &mut rng()).unwrap();
    check("RNN", rnn.parameters(), 6);
    let gru = GRU::<f64>::init(GRUOptions::new(9, 64).num_layers(2), &mut rng()).unwrap();
    check("GRU", gru.parameters(), 2);
    assert_eq!(gru.parameters()[1].weight_ih.shape(), [192, 64]);
}

#[test]
fn embedding_is_normal_but_for_its_padding_row() {
    let layer = Embedding::<f64>::init(EmbeddingOptions::new(200, 50).padding_idx(-3), &mut rng()).unwrap();
    let weight = layer.weight().as_slice();
    assert!(weight[197 * 50..198 * 50].iter().all(|&w| w == 0.0));
    let others: Vec<f64> = weight.iter().copied().filter(|&w| w != 0.0).collect();
    assert_eq!(others.len(), 199 * 50);
    // The fourth moment of the standard normal distribution is 3.
    check_moments("weight", &others, 1.0, 2.0);
    let share = |beyond: f64| others.iter().filter(|w| w.abs() > beyond).count() as f64 / others.len() as f64;
    for (beyond, due) in [(1.0, 0.317_311), (2.0, 0.045_500), (3.0, 0.002_700)] {
        let error = (due * (1.0 - due) / others.len() as f64).sqrt();
        assert!((share(beyond) - due).abs() <= ERRORS * error, "{} of the draws lie beyond {beyond}", share(beyond));
    }
}

/// Masks of dropout are those of the layer's own generator: drawn once a pass, the same again from the same seed.
#[test]
fn dropout_draws_from_its_own_generator() {
    let options = GRUOptions::new(3, 40).num_layers(3).dropout(0.2).bidirectional(true);
    let mut gru = GRU::<f32>::init(options, &mut rng()).unwrap();
    let input = Tensor::full(&[7, 4, 3], 0.5).unwrap();
    let again = gru.clone();
    let peeked = gru.forward(&input, None).unwrap();
    let first = gru.forward_pass(&input, None).unwrap();
    assert_eq!(peeked.output, first.output, "forward drops out what the next pass does");
    let second = gru.forward_pass(&input, None).unwrap();
    let masks = [first.dropout_mask.clone().unwrap(), second.dropout_mask.unwrap()];
    assert_ne!(masks[0], masks[1]);
    assert_eq!(again.clone().forward_pass(&input, None).unwrap().output, first.output);
    let replayed = again.clone().forward_pass_with_mask(&input, None, &masks[0]).unwrap();
    assert_eq!(replayed.output, first.output);
    for mask in &masks {
        assert_eq!(mask.shape(), [2, 7, 4, 80]);
        assert!(mask.as_slice().iter().all(|&keep| keep == 0.0 || keep == 1.25));
        let kept = mask.as_slice().iter().filter(|&&keep| keep > 0.0).count() as f64 / mask.len() as f64;
        assert!((kept - 0.8).abs() <= ERRORS * (0.16 / mask.len() as f64).sqrt(), "{kept} are kept");
    }
    gru.eval();
    assert!(gru.forward_pass(&input, None).unwrap().dropout_mask.is_none());
}
