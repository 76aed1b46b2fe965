
mod traces;
