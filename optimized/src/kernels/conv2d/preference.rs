//! Which algorithm is preferred for a convolution, by measurement, and which refuse it.

use super::{direct::MOST_TERMS, problem::Problem, winograd};

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Output,
    Input,
    Weight,
}

/// Up to so many output channels of a group, `direct` is preferred for the output, and for the input's gradient where
/// that is a convolution itself: 3x3 in groups of 8, 256 channels, 28², takes 5.6 ms forward, where `im2col` takes 11.5. Batches
/// of 8, f32, one thread, here and below.
const CHANNELS_OF_DIRECT: usize = 8;

/// Of windows of [`TERMS_OF_DIRECT`] terms, `direct` is preferred for the output of up to so many channels: 5x5 of 16 channels to 32, 28²,
/// takes 2.0 ms, where `im2col` takes 2.9; 3x3 of 3 to 16, 64², 0.41 and 0.50, to 64, 1.8 and 1.4; of 1 to 32, 28², 0.11 and 0.07.
const MORE_CHANNELS_OF_DIRECT: usize = 32;

/// Fewer terms are too few for that, and for strided windows.
const TERMS_OF_DIRECT: usize = 16;

/// Up to so many for the other gradients: 3x3 in groups of 2, 128 channels, 28², takes 4.2 ms to the weight's, where
/// `im2col` takes 6.4; in groups of 4, 7.3 and 5.7. Depthwise at a stride of 2, 56², the input's takes 4.6 and 7.0 ms.
const CHANNELS_OF_DIRECT_BACKWARD: usize = 2;

/// From so many input and output channels of a group on, `winograd` is preferred: 3x3 of 16 channels, 56², takes 1.7 ms, where
/// `im2col` takes 2.3; of 64, 13.5 and 22; of 256, 14², 10.8 and 24.
const CHANNELS_OF_WINOGRAD: usize = 16;

/// Of so many outputs of a channel, too: of 512 channels, 7², one image takes 6.3 ms and 5.9, and its gradients 15.8 and 10.3,
/// as weights are transformed for few tiles; of 256, 14², 2.3 and 4.7, 4.8 and 6.5.
const OUTPUTS_OF_WINOGRAD: usize = 128;

/// The algorithms, in the order of preference. Windows that are strided along rows read what lies apart, which `direct` gathers once
/// for all channels: the output of 7x7, 3 channels to 64, 224², at a stride of 2, takes 21.4 ms, where `im2col` takes 27.7; 16x16, 3 to
/// 768, at one of 16, 22.4 and 27.9; 3x3, 64 to 64, 28², at one of 2, 2.2 and 3.8, and 64 to 128, 56², 13.3 and 12.5.
pub fn order(problem: &Problem, direction: Direction) -> &'static [&'static str] {
    let most = match direction {
        Direction::Output => CHANNELS_OF_DIRECT,
        Direction::Input if problem.turned().is_some() => CHANNELS_OF_DIRECT,
        Direction::Input | Direction::Weight => CHANNELS_OF_DIRECT_BACKWARD,
    };
    let many_terms = direction == Direction::Output && problem.depth() >= TERMS_OF_DIRECT && problem.taps() > 1;
    if problem.outputs <= most || many_terms && problem.axes[1].stride > 1 {
        &["direct", "pointwise", "im2col", "winograd"]
    } else if problem.inputs.min(problem.outputs) >= CHANNELS_OF_WINOGRAD
        && problem.outputs_of_a_channel() >= OUTPUTS_OF_WINOGRAD
    {
        &["pointwise", "winograd", "im2col", "direct"]
    } else if many_terms && problem.outputs <= MORE_CHANNELS_OF_DIRECT {
        &["pointwise", "direct", "im2col", "winograd"]
    } else {
        &["pointwise", "im2col", "direct", "winograd"]
    }
}

/// Why an algorithm refuses a problem.
pub fn refusal(algorithm: &str, problem: &Problem) -> Option<String> {
    match algorithm {
        "pointwise" if !problem.is_pointwise() => {
            Some("pointwise takes kernels of one tap that reads each element of the input once".to_owned())
        }
        "direct" if problem.depth() > MOST_TERMS => {
            Some(format!("direct takes windows of at most {MOST_TERMS} terms, and these have {}", problem.depth()))
        }
        "winograd" if !winograd::takes(problem) => {
            Some("winograd takes kernels of 3x3 taps, neither strided nor dilated".to_owned())
        }
        "winograd" if problem.inputs.max(problem.outputs) > winograd::MOST_CHANNELS => {
            Some(format!("winograd takes groups of at most {} channels", winograd::MOST_CHANNELS))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocabulary::Conv2dOptions;

    #[test]
    fn channels_terms_and_strides_choose_the_algorithm() {
        let first = |channels: [usize; 2], groups, kernel: usize, direction| {
            let options = Conv2dOptions::new(channels[0], channels[1], kernel).groups(groups);
            let problem = Problem::new(&options, &[2, channels[0], 10, 10]);
            order(&problem, direction).iter().find(|name| refusal(name, &problem).is_none()).copied().unwrap()
        };
        let every = [Direction::Output, Direction::Input, Direction::Weight];
        assert_eq!(every.map(|direction| first([6, 6], 6, 3, direction)), ["direct"; 3]);
        assert_eq!(
            [8, 9, 32, 33].map(|o| first([1, o], 1, 3, Direction::Output)),
            ["direct", "im2col", "im2col", "im2col"]
        );
        assert_eq!([8, 32, 33].map(|o| first([2, o], 1, 3, Direction::Output)), ["direct", "direct", "im2col"]);
        assert_eq!([8, 9].map(|o| first([3, o], 1, 3, Direction::Input)), ["direct", "im2col"]);
        assert_eq!([2, 3].map(|o| first([3, o], 1, 3, Direction::Weight)), ["direct", "im2col"]);
        let strided = |outputs| {
            let options = Conv2dOptions::new(3, outputs, 3).stride(2);
            order(&Problem::new(&options, &[1, 3, 9, 9]), Direction::Input)[0]
        };
        assert_eq!([2, 3].map(strided), ["direct", "pointwise"]);
        let strided = |channels, kernel: usize, stride: (usize, usize)| {
            let options = Conv2dOptions::new(channels, 100, kernel).stride(stride);
            order(&Problem::new(&options, &[1, channels, 9, 9]), Direction::Output)[0]
        };
        assert_eq!([strided(2, 3, (1, 2)), strided(2, 3, (2, 1))], ["direct", "pointwise"]);
        assert_eq!([strided(1, 3, (2, 2)), strided(16, 1, (2, 2))], ["pointwise", "pointwise"]);
        assert_eq!(first([1000, 1], 1, 3, Direction::Output), "im2col");
        assert_eq!(first([64, 64], 1, 1, Direction::Output), "pointwise");
        assert_eq!(every.map(|direction| first([16, 16], 1, 3, direction)), ["winograd"; 3]);
        let few = Problem::new(&Conv2dOptions::new(16, 16, 3), &[1, 16, 13, 13]);
        assert_eq!(every.map(|direction| order(&few, direction)[1]), ["direct", "im2col", "im2col"]);
        assert_eq!([[15, 16], [16, 15]].map(|channels| first(channels, 1, 3, Direction::Output)), ["direct"; 2]);
        assert_eq!(first([64, 64], 4, 3, Direction::Input), "winograd");
        assert_eq!(first([64, 64], 1, 5, Direction::Output), "im2col");
    }

    #[test]
    fn algorithms_refuse_what_they_do_not_take() {
        let refused = |options: &Conv2dOptions, shape: &[usize]| {
            let problem = Problem::new(options, shape);
            ["pointwise", "direct", "im2col", "winograd"].map(|name| refusal(name, &problem).is_some())
        };
        let one = Conv2dOptions::new(4, 4, 1);
        assert_eq!(refused(&one, &[4, 5, 5]), [false, false, false, true]);
        assert_eq!(refused(&one.clone().dilation(7).groups(2), &[4, 5, 5]), [false, false, false, true]);
        assert_eq!(refused(&one.clone().stride((1, 2)), &[4, 5, 5]), [true, false, false, true]);
        assert_eq!(refused(&one.clone().padding((1, 0)), &[4, 5, 5]), [true, false, false, true]);
        let crop = Conv2dOptions { padding: vocabulary::Padding::Explicit([-1, 0]), ..one.clone() };
        assert_eq!(
            refused(&crop.padding_mode(vocabulary::PaddingMode::Circular), &[4, 5, 5]),
            [true, false, false, true]
        );
        assert_eq!(refused(&Conv2dOptions::new(256, 1, 2), &[256, 5, 5]), [true, false, false, true]);
        assert_eq!(refused(&Conv2dOptions::new(257, 1, 2), &[257, 5, 5]), [true, true, false, true]);
        let three = Conv2dOptions::new(1024, 1, 3);
        assert_eq!(refused(&three, &[1024, 5, 5]), [true, true, false, false]);
        assert_eq!(refused(&Conv2dOptions::new(1025, 1, 3), &[1025, 5, 5]), [true, true, false, true]);
        assert_eq!(refused(&Conv2dOptions::new(1, 1025, 3), &[1, 5, 5]), [true, false, false, true]);
        for other in [three.clone().stride((1, 2)), three.clone().dilation((2, 1))] {
            assert_eq!(refused(&other, &[1024, 9, 9]), [true, true, false, true]);
        }
    }
}
