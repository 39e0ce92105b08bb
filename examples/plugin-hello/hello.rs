// SPDX-License-Identifier: Apache-2.0
//
// hello.c in Rust, without crates: the structs of graft/adapter.h as far as they are used here.
//   rustc --edition 2021 --crate-type cdylib -C opt-level=2 -o adapter-hellors.so hello.rs
use std::ffi::{c_char, c_void};
use std::mem::size_of;
use std::ptr::null;

#[repr(C)] #[derive(Clone, Copy)] struct Value { id: u32 }
#[repr(C)] struct Shape { dim: [i64; 4], rank: i32 }
#[repr(C)] struct Site { struct_size: u32, kind: i32, layer: i32, layers: i32, name: *const c_char }
#[repr(C)] struct LinearSite { site: Site, inputs: i64, outputs: i64, has_bias: i32, reserved: i32 }
#[repr(C)] union Params { affine: (f64, f64), reserved: [i64; 8] }
#[repr(C)] struct Param {
    struct_size: u32, init: i32, scale: f64, site: *const Site, name: *const c_char, shape: Shape,
    frozen: i32, unsaved: i32, initial: Value, lr_scale: f64,
}
type Ignored = Option<unsafe extern "C" fn()>;
#[repr(C)] struct Api {
    struct_size: u32, reserved: u32,
    op: unsafe extern "C" fn(*mut Builder, i32, *const Value, u32, *const Params) -> Value,
    output: Ignored, constant: Ignored, shape: Ignored,
    refuse: unsafe extern "C" fn(*mut Builder, *const c_char),
    param: unsafe extern "C" fn(*mut Builder, *const Param) -> Value,
    base: unsafe extern "C" fn(*mut Builder, *const Site, *const Value, u32) -> Value,
}
#[repr(C)] struct Builder { api: *const Api }

#[repr(C)] struct Opt {
    key: *const u8, kind: i32, offset: u32, fallback: *const u8, min: f64, max: f64,
    choices: *const c_void, pattern: *const u8, help: *const u8, training: i32, reserved: i32,
}
#[repr(C)] struct Adapter {
    struct_size: u32, mergeable: i32, peft_type: *const u8, default_targets: *const u8,
    fields: *const c_void, model: Ignored, save: Ignored, rows: Ignored,
    linear: unsafe extern "C" fn(*mut Builder, *const Hello, *const LinearSite, Value) -> Value,
    norm: Ignored, embedding: Ignored, attention: Ignored, block: Ignored,
    layout: i32, reserved: i32, identity: extern "C" fn(*const Hello) -> i32,
}
#[repr(C)] pub struct Plugin {
    magic: u32, struct_size: u32, abi_major: u32, abi_minor: u32, kind: i32, option_count: u32,
    option_stride: u32, options_size: u32, name: *const u8, version: *const u8,
    license: *const u8, summary: *const u8, options: *const Opt, functions: *const Adapter,
}
unsafe impl Sync for Opt {} // constants, all of them
unsafe impl Sync for Adapter {}
unsafe impl Sync for Plugin {}

#[repr(C)] struct Hello { strength: f64 }
static OPTION: Opt = Opt {
    key: b"strength\0".as_ptr(), kind: 3, offset: 0, fallback: b"1.0\0".as_ptr(), min: 0.001,
    max: 100.0, choices: null(), pattern: null(), help: b"how fast the gain moves\0".as_ptr(),
    training: 0, reserved: 0,
};

// y = base(x) * (1 + strength * gain)
unsafe fn gained(b: *mut Builder, o: &Hello, s: &LinearSite, x: Value) -> Value {
    let (api, shape) = (&*(*b).api, Shape { dim: [s.outputs, 1, 1, 1], rank: 1 });
    let gain = Param { struct_size: size_of::<Param>() as u32, init: 0, scale: 0.0, site: &s.site,
        name: b"gain\0".as_ptr().cast(), shape, frozen: 0, unsaved: 0, initial: Value { id: 0 },
        lr_scale: 0.0 };
    let mut params = Params { reserved: [0; 8] };
    params.affine = (o.strength, 1.0);
    let factor = (api.op)(b, 5, &(api.param)(b, &gain), 1, &params); // AFFINE
    let inputs = [(api.base)(b, &s.site, &x, 1), factor];
    (api.op)(b, 3, inputs.as_ptr(), 2, null()) // MUL
}

// A panic ends here: it must not cross the border.
unsafe extern "C" fn linear(b: *mut Builder, o: *const Hello, s: *const LinearSite, x: Value) -> Value {
    std::panic::catch_unwind(|| gained(b, &*o, &*s, x)).unwrap_or_else(|_| {
        ((*(*b).api).refuse)(b, b"the plugin panicked\0".as_ptr().cast());
        x
    })
}
extern "C" fn identity(_: *const Hello) -> i32 { 1 }

static FUNCTIONS: Adapter = Adapter {
    struct_size: size_of::<Adapter>() as u32, mergeable: 1, peft_type: null(),
    default_targets: b"q_proj v_proj\0".as_ptr(), fields: null(), model: None, save: None,
    rows: None, linear, norm: None, embedding: None, attention: None, block: None, layout: 0,
    reserved: 0, identity,
};
#[no_mangle] pub static graft_plugin: Plugin = Plugin {
    magic: 0x54465247, struct_size: size_of::<Plugin>() as u32, abi_major: 1, abi_minor: 0, kind: 1,
    option_count: 1, option_stride: size_of::<Opt>() as u32, options_size: size_of::<Hello>() as u32,
    name: b"hellors\0".as_ptr(), version: b"1.0.0\0".as_ptr(), license: b"Apache-2.0\0".as_ptr(),
    summary: b"a trained factor for each output of a linear layer, in Rust\0".as_ptr(),
    options: &OPTION, functions: &FUNCTIONS,
};
