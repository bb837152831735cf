//! RNN, of one layer in one direction.

benches::recurrent!(RNN, RNNOptions, gates 1);
