//! GRU, of one layer in one direction.

benches::recurrent!(GRU, GRUOptions, gates 3);
