//! What callers of `reference` rely on beyond what a case file can say: integers of both widths, sparse gradients, state
//! dictionaries, passes that own what they need, lists of layers, sizes that are huge or wrong.

use rand::{SeedableRng, rngs::SmallRng};
use reference::{
    BCELoss, BCEWithLogitsLoss, Conv2d, CrossEntropyLoss, ELU, Embedding, EmbeddingGradient, GRU, LeakyReLU,
    LogSigmoid, MaxPool2d, RNN, Softmax, Tanh,
};
use vocabulary::{
    BCELossOptions, BCEWithLogitsLossOptions, Conv2dOptions, CrossEntropyLossOptions, ELUOptions, EmbeddingOptions,
    GRUOptions, Layer, LeakyReLUOptions, LogSigmoidOptions, MaxPool2dOptions, Nonlinearity, Padding, PaddingMode,
    RNNOptions, Reduction, Result, SoftmaxOptions, StateDict, TanhOptions, Tensor,
};

fn rng() -> SmallRng {
    SmallRng::seed_from_u64(super::seed())
}

fn tensor(shape: &[usize]) -> Tensor<f64> {
    Tensor::from_fn(shape, |index| {
        let place = index.iter().zip(shape).fold(0, |place, (i, size)| place * size + i);
        ((place * 37 + 11) % 23) as f64 / 8.0 - 1.25
    })
    .unwrap()
}

#[test]
fn indices_of_both_widths_look_up_the_same_rows() {
    let embedding = Embedding::<f64>::init(EmbeddingOptions::new(10, 3), &mut rng()).unwrap();
    let wide = Tensor::from_vec(&[2, 4], vec![1_i64, 2, 4, 5, 4, 3, 2, 9]).unwrap();
    let narrow = wide.map(|index| index as i32);
    assert_eq!(embedding.forward(&wide).unwrap(), embedding.forward(&narrow).unwrap());
    for index in [-1, 10, i32::MIN, i32::MAX] {
        let error = embedding.forward(&Tensor::scalar(index)).unwrap_err();
        assert_eq!((error.layer(), error.argument()), ("Embedding", "input"));
    }
    assert!(embedding.forward(&Tensor::scalar(i64::MIN)).is_err());
}

#[test]
fn classes_of_both_widths_and_one_hot_probabilities_lose_the_same() {
    let mut loss = CrossEntropyLoss::new(CrossEntropyLossOptions::new().reduction(Reduction::None)).unwrap();
    let input = tensor(&[4, 3]);
    let classes = Tensor::from_vec(&[4], vec![2_i64, 0, 1, 1]).unwrap();
    let one_hot = Tensor::from_fn(&[4, 3], |i| f64::from(u8::from(classes[[i[0]]] == i[1] as i64))).unwrap();
    let pass = loss.forward_pass(&input, &classes).unwrap();
    assert_eq!(loss.forward(&input, &classes.map(|class| class as i32)).unwrap(), pass.output);
    let by_probabilities = loss.forward(&input, &one_hot).unwrap();
    for (a, b) in pass.output.as_slice().iter().zip(by_probabilities.as_slice()) {
        assert!((a - b).abs() < 1e-14, "{a} by classes, {b} by probabilities");
    }
    let gradients = loss.backward(&pass, &Tensor::full(&[4], 1.0).unwrap()).unwrap();
    assert!(gradients.target.is_none());
    let pass = loss.forward_pass(&input, &one_hot).unwrap();
    assert_eq!(loss.backward(&pass, &Tensor::full(&[4], 1.0).unwrap()).unwrap().target.unwrap().shape(), [4, 3]);
}

#[test]
fn sparse_gradients_are_the_rows_of_dense_ones() {
    let options = EmbeddingOptions::new(7, 2).padding_idx(-1);
    let weight = tensor(&[7, 2]);
    let input = Tensor::from_vec(&[5], vec![3_i64, 0, 3, 6, 5]).unwrap();
    let gradient = |sparse: bool| {
        let mut layer = Embedding::with_parameters(options.clone().sparse(sparse), weight.clone()).unwrap();
        let pass = layer.forward_pass(&input).unwrap();
        layer.backward(&pass, &tensor(&[5, 2])).unwrap().weight.unwrap()
    };
    let (EmbeddingGradient::Dense(dense), EmbeddingGradient::Sparse { rows, values }) =
        (gradient(false), gradient(true))
    else {
        panic!("each as it was asked for")
    };
    assert_eq!(rows, [0, 3, 5]);
    for (place, &row) in rows.iter().enumerate() {
        assert_eq!(values.slice(0, place..place + 1).unwrap(), dense.slice(0, row..row + 1).unwrap());
    }
    for row in (0..7).filter(|row| !rows.contains(row)) {
        assert_eq!(dense.slice(0, row..row + 1).unwrap().as_slice(), [0.0, 0.0]);
    }
    let mut frozen = Embedding::with_parameters(options.freeze(true), weight).unwrap();
    let pass = frozen.forward_pass(&input).unwrap();
    assert!(frozen.backward(&pass, &tensor(&[5, 2])).unwrap().weight.is_none());
}

#[test]
fn only_a_training_step_renormalises_the_weight() {
    let weight = Tensor::from_vec(&[2, 2], vec![3.0_f64, 4.0, 30.0, 40.0]).unwrap();
    let mut layer = Embedding::with_parameters(EmbeddingOptions::new(2, 2).max_norm(1.0), weight.clone()).unwrap();
    let looked_up = layer.forward(&Tensor::scalar(0_i64)).unwrap();
    assert!((looked_up[[0]] - 0.6).abs() < 1e-7 && (looked_up[[1]] - 0.8).abs() < 1e-7);
    assert_eq!(layer.weight(), &weight);
    assert_eq!(layer.forward_pass(&Tensor::scalar(0_i64)).unwrap().output, looked_up);
    assert_eq!(layer.weight().as_slice()[..2], *looked_up.as_slice());
    assert_eq!(layer.weight().as_slice()[2..], [30.0, 40.0]);
}

#[test]
fn parameters_go_through_state_dictionaries() {
    let options = GRUOptions::new(3, 2).num_layers(2).bidirectional(true);
    let gru = GRU::<f64>::init(options.clone(), &mut rng()).unwrap();
    let state = gru.state_dict();
    let names: Vec<&str> = state.iter().map(|(name, _)| name).collect();
    assert_eq!(names[..5], ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_ih_l0_reverse"]);
    assert_eq!((names.len(), names[15]), (16, "bias_hh_l1_reverse"));
    assert_eq!(GRU::<f64>::from_state_dict(options.clone(), &state).unwrap().parameters(), gru.parameters());
    assert!(GRU::<f32>::from_state_dict(options.clone(), &state).is_err(), "nothing is converted");
    let error = GRU::<f64>::from_state_dict(options.bias(false), &state).unwrap_err();
    assert_eq!(error.argument(), "bias_ih_l0");

    let options = Conv2dOptions::new(4, 6, (3, 2)).groups(2);
    let conv = Conv2d::<f32>::init(options.clone(), &mut rng()).unwrap();
    assert_eq!(Conv2d::<f32>::from_state_dict(options, &conv.state_dict()).unwrap().weight(), conv.weight());

    let mut weights = StateDict::new();
    weights.insert("pos_weight", tensor(&[3]));
    let loss = BCEWithLogitsLoss::<f64>::from_state_dict(BCEWithLogitsLossOptions::new(), &weights).unwrap();
    assert!(loss.weight().is_none() && loss.pos_weight().is_some());
    assert!(BCELoss::<f64>::from_state_dict(BCELossOptions::new(), &weights).is_err());
}

#[test]
fn a_pass_keeps_the_parameters_that_it_was_made_with() {
    let options = RNNOptions::new(2, 3).nonlinearity(Nonlinearity::Relu);
    let mut rnn = RNN::<f64>::init(options, &mut rng()).unwrap();
    let pass = rnn.forward_pass(&tensor(&[4, 2]), None).unwrap();
    let g = tensor(&[4, 3]);
    let before = rnn.backward(&pass, &g, None).unwrap();
    rnn.visit_parameters_mut(&mut |_, elements| elements.fill(0.0));
    assert_eq!(rnn.backward(&pass, &g, None).unwrap(), before);
    let mut other = RNN::<f64>::init(RNNOptions::new(2, 5), &mut rng()).unwrap();
    assert!(other.backward(&pass, &g, None).is_err(), "a pass of another layer");
    assert!(other.forward_pass_with_mask(&tensor(&[4, 2]), None, &tensor(&[1, 4, 1, 5])).is_err());
}

#[test]
fn lists_of_layers_work() {
    let mut layers: Vec<Box<dyn Layer<f64>>> = vec![
        Box::new(Conv2d::<f64>::init(Conv2dOptions::new(2, 3, 3).padding(Padding::Same), &mut rng()).unwrap()),
        Box::new(MaxPool2d::new(MaxPool2dOptions::new(2)).unwrap()),
        Box::new(Tanh::new(TanhOptions::new()).unwrap()),
        Box::new(LogSigmoid::new(LogSigmoidOptions::new()).unwrap()),
        Box::new(LeakyReLU::new(LeakyReLUOptions::new()).unwrap()),
        Box::new(ELU::new(ELUOptions::new()).unwrap()),
        Box::new(Softmax::new(SoftmaxOptions::new().dim(-1)).unwrap()),
    ];
    let mut x = tensor(&[2, 2, 6, 4]);
    let mut passes = Vec::new();
    for layer in &mut layers {
        assert_eq!(layer.forward(&x).unwrap().shape(), layer.output_shape(x.shape()).unwrap());
        let (output, saved) = layer.forward_pass(&x).unwrap();
        passes.push(saved);
        x = output;
    }
    assert_eq!(x.shape(), [2, 3, 3, 2]);
    let mut g = tensor(x.shape());
    let mut names = Vec::new();
    for (layer, saved) in layers.iter().zip(&passes).rev() {
        let gradients = layer.backward(saved, &g).unwrap();
        names.extend(gradients.parameters.into_iter().map(|(name, _)| name));
        g = gradients.input;
    }
    assert_eq!(g.shape(), [2, 2, 6, 4]);
    assert_eq!(names, ["weight", "bias"]);
}

/// Sizes that nobody can store or walk through are refused, or take no time.
#[test]
fn huge_sizes_neither_hang_nor_exhaust_memory() {
    const HUGE: usize = 1 << 50;
    let empty = |shape: &[usize]| Tensor::full(shape, 0.0_f64).unwrap();
    let pooled = |options: MaxPool2dOptions, input: &[usize]| {
        let mut pool = MaxPool2d::new(options)?;
        let pass = pool.forward_pass(&Tensor::full(input, 1.0_f64)?)?;
        pool.backward(&pass, &pass.output).map(|_| pass.output.shape().to_vec())
    };
    // One window over an image that all but vanishes in its padding.
    let most = i32::MAX as usize;
    assert_eq!(pooled(MaxPool2dOptions::new(most).padding(most / 2), &[1, 4, 4]), Ok(vec![1, 1, 1]));
    assert_eq!(pooled(MaxPool2dOptions::new(1).stride(most).dilation(most), &[1, 4, 4]), Ok(vec![1, 1, 1]));
    assert!(pooled(MaxPool2dOptions::new(usize::MAX), &[1, 4, 4]).is_err());
    assert!(pooled(MaxPool2dOptions::new(1), &[0, HUGE, 1, 1]).is_ok());

    let mut rng = rng();
    let convolved = |options: Conv2dOptions, input: &[usize]| -> Result<Vec<usize>> {
        let mut conv = Conv2d::<f64>::init(options, &mut SmallRng::seed_from_u64(0))?;
        let pass = conv.forward_pass(&Tensor::full(input, 1.0)?)?;
        conv.backward(&pass, &pass.output).map(|_| pass.output.shape().to_vec())
    };
    let padded =
        |padding: i64, mode| Conv2dOptions::new(1, 1, 1).padding(Padding::Explicit([padding; 2])).padding_mode(mode);
    let modes = [PaddingMode::Zeros, PaddingMode::Reflect, PaddingMode::Replicate, PaddingMode::Circular];
    for (mode, padding) in
        modes.into_iter().flat_map(|mode| [i64::MIN, 1 << 40, i64::MAX].map(|padding| (mode, padding)))
    {
        assert!(convolved(padded(padding, mode), &[1, 4, 4]).is_err(), "{mode:?} {padding}");
    }
    assert_eq!(convolved(Conv2dOptions::new(1, 1, 1).stride(i64::MAX as usize), &[1, 4, 4]), Ok(vec![1, 1, 1]));
    assert_eq!(convolved(Conv2dOptions::new(1, 1, 1).dilation(i64::MAX as usize), &[1, 4, 4]), Ok(vec![1, 4, 4]));
    assert!(convolved(Conv2dOptions::new(1, 1, 1).stride(usize::MAX), &[1, 4, 4]).is_err());
    assert!(convolved(Conv2dOptions::new(1, usize::MAX, usize::MAX), &[1, 4, 4]).is_err());
    assert!(convolved(Conv2dOptions::new(1, 1, 3).dilation(i64::MAX as usize), &[1, 4, 4]).is_err());
    assert!(convolved(Conv2dOptions::new(1, 1, 1), &[0, 1, HUGE, 1]).is_ok());
    assert!(convolved(Conv2dOptions::new(0, HUGE, 1).bias(false), &[3, 0, 2, 2]).is_ok());

    let softmax = Softmax::new(SoftmaxOptions::new().dim(1)).unwrap();
    assert_eq!(softmax.forward(&empty(&[HUGE, 0, 3])).unwrap().shape(), [HUGE, 0, 3]);
    assert!(Softmax::new(SoftmaxOptions::new().dim(i64::MIN)).unwrap().forward(&empty(&[0])).is_err());

    let nothing = Tensor::from_vec(&[0, HUGE], Vec::<i64>::new()).unwrap();
    let loss = CrossEntropyLoss::<f64>::new(CrossEntropyLossOptions::new()).unwrap();
    assert!(loss.forward(&empty(&[0, 3, HUGE]), &nothing).unwrap().as_slice()[0].is_nan());
    let none = CrossEntropyLossOptions::new().reduction(Reduction::None);
    let loss = CrossEntropyLoss::<f64>::new(none).unwrap();
    assert!(loss.forward(&empty(&[HUGE, 0]), &empty(&[HUGE, 0])).is_err(), "2⁵⁰ losses of 0");

    for options in
        [RNNOptions::new(1, 1).num_layers(HUGE), RNNOptions::new(1, usize::MAX), RNNOptions::new(usize::MAX, 1)]
    {
        assert!(RNN::<f64>::init(options.clone(), &mut rng).is_err());
        assert!(RNN::<f64>::with_parameters(options.clone(), Vec::new()).is_err());
        assert!(RNN::<f64>::from_state_dict(options, &StateDict::new()).is_err());
    }
    let gru = GRU::<f64>::init(GRUOptions::new(1, 1), &mut rng).unwrap();
    assert!(gru.forward(&empty(&[HUGE, 0, 1]), None).is_ok_and(|y| y.output.shape() == [HUGE, 0, 1]));
    let embedding = Embedding::<f64>::init(EmbeddingOptions::new(3, 0), &mut rng).unwrap();
    let wide = Tensor::from_vec(&[0, HUGE], Vec::<i64>::new()).unwrap();
    assert_eq!(embedding.forward(&wide).unwrap().shape(), [0, HUGE, 0]);
    assert!(Embedding::<f64>::init(EmbeddingOptions::new(usize::MAX, 2), &mut rng).is_err());
}
