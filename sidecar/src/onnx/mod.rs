//! ONNX Runtime: the library ([`runtime`]), where models run ([`device`]), their files ([`files`]), the memory of GPUs ([`gpu`]) and how one is opened and
//! fed ([`session`]).

pub mod device;
pub mod files;
pub mod gpu;
pub mod runtime;
pub mod session;

pub use device::Device;
pub use files::{FilesError, ModelFiles, Source};
pub use session::{LoadError, TokenModel};
