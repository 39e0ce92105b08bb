/* SPDX-License-Identifier: Apache-2.0
 *
 * hello.c in C++17, with members assigned where C has designated initializers:
 *   c++ -std=c++17 -shared -fPIC -fvisibility=hidden -I .../include -o adapter-hellopp.so hello.cpp
 */
#include <graft/adapter.h>

namespace
{
struct hello {
    double strength;
};

constexpr graft_option strength_option()
{
    graft_option o{};
    o.key = "strength";
    o.type = GRAFT_OPTION_FLOAT;
    o.offset = offsetof(hello, strength);
    o.fallback = "1.0";
    o.min = 0.001;
    o.max = 100;
    o.help = "how fast the gain moves";
    return o;
}
constexpr graft_option options[] = {strength_option()};

/* y = base(x) * (1 + strength * gain) */
graft_value linear(graft_builder *b, const void *settings, const graft_linear_site *site,
                   graft_value x)
{
    auto o = static_cast<const hello *>(settings);
    graft_value gain = graft_param(b, &site->site, "gain", graft_shape1(site->out_features),
                                   GRAFT_INIT_ZEROS, 0.0);
    return graft_mul(b, graft_base(b, site, x), graft_affine(b, gain, o->strength, 1.0));
}

constexpr graft_adapter make_functions()
{
    graft_adapter a{};
    a.struct_size = sizeof a;
    a.mergeable = 1;
    a.default_targets = "q_proj v_proj";
    a.linear = linear;
    return a;
}
constexpr graft_adapter functions = make_functions();

constexpr struct graft_plugin describe()
{
    struct graft_plugin p {
    };
    p.magic = GRAFT_PLUGIN_MAGIC;
    p.struct_size = sizeof p;
    p.abi_major = GRAFT_ABI_MAJOR;
    p.abi_minor = GRAFT_ABI_MINOR;
    p.kind = GRAFT_PLUGIN_ADAPTER;
    p.option_count = 1;
    p.option_stride = sizeof(graft_option);
    p.options_size = sizeof(hello);
    p.name = "hellopp";
    p.version = "1.0.0";
    p.license = "Apache-2.0";
    p.summary = "a trained factor for each output of a linear layer, in C++";
    p.options = options;
    p.functions = &functions;
    return p;
}
} // namespace

extern "C" const struct graft_plugin graft_plugin = describe();
