//! What several layers have in common, so that their files hold formulas alone.

pub mod broadcast;
pub mod difference_loss;
pub mod elementwise;
pub mod entropy_loss;
pub mod recurrent;
