//! Every form of a call gives the same numbers, to the last bit: `forward`, `forward_pass`, `forward_into`,
//! `forward_in_place`, through the `Layer` trait, at any number of threads, and again.

use optimized::{BatchNorm2d, Execution, Isa, Layer, Linear, MSELoss, ReLU, Sigmoid, Tensor, Threads};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use std::num::NonZeroUsize;
use vocabulary::{BatchNorm2dOptions, LinearOptions, MSELossOptions, ReLUOptions, SigmoidOptions};

fn tensor(shape: &[usize], rng: &mut SmallRng) -> Tensor<f32> {
    Tensor::from_fn(shape, |_| rng.random_range(-2.0..2.0)).unwrap()
}

fn bits(tensor: &Tensor<f32>) -> Vec<u32> {
    tensor.as_slice().iter().map(|x| x.to_bits()).collect()
}

fn nan(shape: &[usize]) -> Tensor<f32> {
    Tensor::full(shape, f32::NAN).unwrap()
}

fn executions() -> Vec<Execution> {
    let threads = |n| Threads::new(NonZeroUsize::new(n).unwrap());
    Isa::available()
        .into_iter()
        .flat_map(|isa| [1, 2, 3].map(|n| Execution::default().isa(isa).threads(threads(n))))
        .collect()
}

/// Equal for all executions of one instruction set.
fn same_at_any_thread_count(run: impl Fn(&Execution) -> Vec<Vec<u32>>) {
    for executions in executions().chunks(3) {
        let first = run(&executions[0]);
        assert!(first.iter().any(|bits| !bits.is_empty()));
        for execution in executions {
            assert_eq!(run(execution), first, "{execution:?}");
            assert_eq!(run(execution), first, "{execution:?}, again");
        }
    }
}

#[test]
fn linear() {
    let mut rng = SmallRng::seed_from_u64(1);
    for (rows, inputs, outputs) in [(1, 1, 1), (1, 300, 70), (5, 33, 17), (130, 257, 191)] {
        let layer = Linear::<f32>::init(LinearOptions::new(inputs, outputs), &mut rng).unwrap();
        let (x, g) = (tensor(&[rows, inputs], &mut rng), tensor(&[rows, outputs], &mut rng));
        same_at_any_thread_count(|execution| {
            let mut layer = layer.clone();
            layer.set_execution(execution.clone()).unwrap();
            let y = layer.forward(&x).unwrap();
            let mut into = nan(&[rows, outputs]);
            layer.forward_into(&x, &mut into).unwrap();
            let pass = layer.forward_pass(&x).unwrap();
            let (through_trait, saved) = Layer::forward_pass(&mut layer, &x).unwrap();
            for other in [&into, &pass.output, &through_trait] {
                assert_eq!(bits(other), bits(&y));
            }
            let gradients = layer.backward(&pass, &g).unwrap();
            let general = Layer::backward(&layer, &saved, &g).unwrap();
            assert_eq!(bits(&general.input), bits(&gradients.input));
            assert_eq!(
                general.parameters.iter().map(|(name, _)| name.as_ref()).collect::<Vec<_>>(),
                ["weight", "bias"]
            );
            vec![bits(&y), bits(&gradients.input), bits(&gradients.weight), bits(&gradients.bias.unwrap())]
        });
    }
}

#[test]
fn elementwise() {
    let mut rng = SmallRng::seed_from_u64(2);
    for n in [0, 1, 7, 17, 1000, 300_001] {
        let (x, g) = (tensor(&[n], &mut rng), tensor(&[n], &mut rng));
        same_at_any_thread_count(|execution| {
            let (mut relu, mut sigmoid) =
                (ReLU::new(ReLUOptions::new()).unwrap(), Sigmoid::new(SigmoidOptions::new()).unwrap());
            relu.set_execution(execution.clone()).unwrap();
            sigmoid.set_execution(execution.clone()).unwrap();
            let (rectified, squashed) = (relu.forward(&x).unwrap(), sigmoid.forward(&x).unwrap());
            let (mut into, mut in_place) = (nan(&[n]), x.clone());
            relu.forward_into(&x, &mut into).unwrap();
            relu.forward_in_place(&mut in_place).unwrap();
            assert_eq!((bits(&into), bits(&in_place)), (bits(&rectified), bits(&rectified)));
            let (mut into, mut in_place) = (nan(&[n]), x.clone());
            sigmoid.forward_into(&x, &mut into).unwrap();
            sigmoid.forward_in_place(&mut in_place).unwrap();
            assert_eq!((bits(&into), bits(&in_place)), (bits(&squashed), bits(&squashed)));
            let pass = relu.forward_pass(&x).unwrap();
            let through_relu = relu.backward(&pass, &g).unwrap().input;
            let pass = sigmoid.forward_pass(&x).unwrap();
            let through_sigmoid = sigmoid.backward(&pass, &g).unwrap().input;
            vec![bits(&rectified), bits(&squashed), bits(&through_relu), bits(&through_sigmoid), vec![0]]
        });
    }
}

#[test]
fn batch_norm2d() {
    let mut rng = SmallRng::seed_from_u64(3);
    for shape in [[1, 1, 1, 2], [3, 5, 7, 9], [2, 33, 4, 4], [40, 2, 65, 63]] {
        let (x, g) = (tensor(&shape, &mut rng), tensor(&shape, &mut rng));
        same_at_any_thread_count(|execution| {
            let mut layer = BatchNorm2d::<f32>::new(BatchNorm2dOptions::new(shape[1])).unwrap();
            layer.set_execution(execution.clone()).unwrap();
            let y = layer.forward(&x).unwrap();
            let mut into = nan(&shape);
            layer.forward_into(&x, &mut into).unwrap();
            let pass = layer.forward_pass(&x).unwrap();
            assert_eq!((bits(&into), bits(&pass.output)), (bits(&y), bits(&y)));
            let gradients = layer.backward(&pass, &g).unwrap();
            let running = layer.state().clone();
            layer.eval();
            let evaluated = layer.forward(&x).unwrap();
            let tensors = [y, gradients.input, gradients.weight.unwrap(), gradients.bias.unwrap(), evaluated];
            let buffers = [running.running_mean.unwrap(), running.running_var.unwrap()];
            tensors.iter().chain(&buffers).map(bits).collect()
        });
    }
}

#[test]
fn mse_loss() {
    let mut rng = SmallRng::seed_from_u64(4);
    for (input, target) in [(&[5][..], &[5][..]), (&[200, 301], &[200, 301]), (&[40, 1, 30], &[20, 1]), (&[], &[3])] {
        let (x, t) = (tensor(input, &mut rng), tensor(target, &mut rng));
        same_at_any_thread_count(|execution| {
            let mut layer = MSELoss::new(MSELossOptions::new()).unwrap();
            layer.set_execution(execution.clone()).unwrap();
            let y = layer.forward(&x, &t).unwrap();
            let pass = layer.forward_pass(&x, &t).unwrap();
            let mut into = nan(&[]);
            layer.forward_into(&x, &t, &mut into).unwrap();
            assert_eq!((bits(&into), bits(&pass.output)), (bits(&y), bits(&y)));
            let gradients = layer.backward(&pass, &Tensor::scalar(0.7)).unwrap();
            vec![bits(&y), bits(&gradients.input), bits(&gradients.target)]
        });
    }
}

/// A list of layers, trained by someone who knows only the trait: the loss falls.
#[test]
fn a_list_of_layers_trains() {
    fn train(mut layers: Vec<Box<dyn Layer<f64>>>) -> (f64, f64) {
        let mut rng = SmallRng::seed_from_u64(8);
        let x = Tensor::from_fn(&[64, 2], |_| rng.random_range(-1.0..1.0)).unwrap();
        let t = Tensor::from_fn(&[64, 1], |i| f64::from(u8::from(x[[i[0], 0]] * x[[i[0], 1]] > 0.0))).unwrap();
        let mut loss = reference::MSELoss::new(MSELossOptions::new()).unwrap();
        let mut losses = Vec::new();
        for _ in 0..400 {
            let mut y = x.clone();
            let mut passes = Vec::new();
            for layer in &mut layers {
                let (output, pass) = layer.forward_pass(&y).unwrap();
                passes.push(pass);
                y = output;
            }
            let pass = loss.forward_pass(&y, &t).unwrap();
            losses.push(pass.output.as_slice()[0]);
            let mut gradient = loss.backward(&pass, &Tensor::scalar(1.0)).unwrap().input;
            for (layer, pass) in layers.iter_mut().zip(&passes).rev() {
                let gradients = layer.backward(pass, &gradient).unwrap();
                let mut steps = gradients.parameters.iter();
                layer.visit_parameters_mut(&mut |name, parameter| {
                    let (of, step) = steps.next().unwrap();
                    assert_eq!(*of, name);
                    parameter.iter_mut().zip(step.as_slice()).for_each(|(p, g)| *p -= 0.5 * g);
                });
                gradient = gradients.input;
            }
        }
        (losses[0], losses[losses.len() - 1])
    }
    let mut rng = SmallRng::seed_from_u64(9);
    let sizes = [LinearOptions::new(2, 16), LinearOptions::new(16, 1)];
    let [first, second] = sizes.clone().map(|options| reference::Linear::init(options, &mut rng).unwrap());
    let reference: Vec<Box<dyn Layer<f64>>> = vec![
        Box::new(first.clone()),
        Box::new(reference::ReLU::new(ReLUOptions::new()).unwrap()),
        Box::new(second.clone()),
        Box::new(reference::Sigmoid::new(SigmoidOptions::new()).unwrap()),
    ];
    let [a, b] = [first, second].map(|linear| linear.state_dict());
    let optimized: Vec<Box<dyn Layer<f64>>> = vec![
        Box::new(Linear::from_state_dict(sizes[0].clone(), &a).unwrap()),
        Box::new(ReLU::new(ReLUOptions::new()).unwrap()),
        Box::new(Linear::from_state_dict(sizes[1].clone(), &b).unwrap()),
        Box::new(Sigmoid::new(SigmoidOptions::new()).unwrap()),
    ];
    let (slow, fast) = (train(reference), train(optimized));
    assert!(slow.1 < 0.5 * slow.0, "{slow:?}");
    assert!((slow.1 - fast.1).abs() < 1e-6, "{slow:?} and {fast:?}");
}
