#ifdef cl_khr_fp16
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#elif defined(cl_amd_fp16)
#pragma OPENCL EXTENSION cl_amd_fp16 : enable
#else
#error "Half precision floating point not supported by OpenCL implementation on your device." 
#endif

__kernel void inspected(__global half* restrict bias_ptr, __global half* restrict in0_ptr, __global half* restrict out_ptr, __global half* restrict weight_ptr);
__kernel void inspected(__global half* restrict bias_ptr, __global half* restrict in0_ptr, __global half* restrict out_ptr, __global half* restrict weight_ptr) {
  half8 sums_ptr[4];
  half8 loaded_ptr[1];
  half8 factor_ptr[1];
  int cse_v1 = ((convert_int(get_group_id(1))) * 4);
  sums_ptr[0] = (half8)(bias_ptr[((convert_int(get_group_id(1))) * 4)]);
  sums_ptr[1] = (half8)(bias_ptr[(((convert_int(get_group_id(1))) * 4) + 1)]);
  sums_ptr[2] = (half8)(bias_ptr[(((convert_int(get_group_id(1))) * 4) + 2)]);
  sums_ptr[3] = (half8)(bias_ptr[(((convert_int(get_group_id(1))) * 4) + 3)]);
  int cse_v2 = ((convert_int(get_local_id(0))) * 8);
  for (int v = 0; v < 32; ++v) {
    int cse_v3 = ((v * 960) + ((convert_int(get_local_id(0))) * 8));
    loaded_ptr[0] = vload8(0, ((__global half *)in0_ptr + ((v * 960) + ((convert_int(get_local_id(0))) * 8))));
    int cse_v4 = (((convert_int(get_group_id(1))) * 256) + (v * 8));
    factor_ptr[0] = (half8)(weight_ptr[(((convert_int(get_group_id(1))) * 256) + (v * 8))]);
    sums_ptr[0] = (sums_ptr[0] + (loaded_ptr[0] * factor_ptr[0]));
    factor_ptr[0] = (half8)(weight_ptr[((((convert_int(get_group_id(1))) * 256) + (v * 8)) + 1)]);
    sums_ptr[1] = (sums_ptr[1] + (loaded_ptr[0] * factor_ptr[0]));
    factor_ptr[0] = (half8)(weight_ptr[((((convert_int(get_group_id(1))) * 256) + (v * 8)) + 2)]);
    sums_ptr[2] = (sums_ptr[2] + (loaded_ptr[0] * factor_ptr[0]));
    factor_ptr[0] = (half8)(weight_ptr[((((convert_int(get_group_id(1))) * 256) + (v * 8)) + 3)]);
    sums_ptr[3] = (sums_ptr[3] + (loaded_ptr[0] * factor_ptr[0]));
    loaded_ptr[0] = vload8(0, ((__global half *)in0_ptr + (((v * 960) + ((convert_int(get_local_id(0))) * 8)) + 480)));
    factor_ptr[0] = (half8)(weight_ptr[((((convert_int(get_group_id(1))) * 256) + (v * 8)) + 4)]);
    sums_ptr[0] = (sums_ptr[0] + (loaded_ptr[0] * factor_ptr[0]));
    factor_ptr[0] = (half8)(weight_ptr[((((convert_int(get_group_id(1))) * 256) + (v * 8)) + 5)]);
    sums_ptr[1] = (sums_ptr[1] + (loaded_ptr[0] * factor_ptr[0]));
    factor_ptr[0] = (half8)(weight_ptr[((((convert_int(get_group_id(1))) * 256) + (v * 8)) + 6)]);
    sums_ptr[2] = (sums_ptr[2] + (loaded_ptr[0] * factor_ptr[0]));
    factor_ptr[0] = (half8)(weight_ptr[((((convert_int(get_group_id(1))) * 256) + (v * 8)) + 7)]);
    sums_ptr[3] = (sums_ptr[3] + (loaded_ptr[0] * factor_ptr[0]));
  }
  int cse_v5 = (((convert_int(get_group_id(1))) * 1920) + ((convert_int(get_local_id(0))) * 8));
  vstore8(sums_ptr[0], 0, ((__global half *)out_ptr + (((convert_int(get_group_id(1))) * 1920) + ((convert_int(get_local_id(0))) * 8))));
  vstore8(sums_ptr[1], 0, ((__global half *)out_ptr + ((((convert_int(get_group_id(1))) * 1920) + ((convert_int(get_local_id(0))) * 8)) + 480)));
  vstore8(sums_ptr[2], 0, ((__global half *)out_ptr + ((((convert_int(get_group_id(1))) * 1920) + ((convert_int(get_local_id(0))) * 8)) + 960)));
  vstore8(sums_ptr[3], 0, ((__global half *)out_ptr + ((((convert_int(get_group_id(1))) * 1920) + ((convert_int(get_local_id(0))) * 8)) + 1440)));
}

