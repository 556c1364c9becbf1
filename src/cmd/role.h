/* SPDX-License-Identifier: Apache-2.0 */
/**
 * role.h - The commands inside the gateway's module
 */
#pragma once

int role_gateway_serve(int argc, char **argv);
int role_gateway_peer(int argc, char **argv);
int role_gateway_obfuscation(int argc, char **argv);
int role_gateway_api(int argc, char **argv);
int role_gateway_key(int argc, char **argv);
int role_gateway_import(int argc, char **argv);
int role_gateway_adopt(int argc, char **argv);
int role_gateway_export(int argc, char **argv);
int role_gateway_access(int argc, char **argv);
int role_gateway_webhook(int argc, char **argv);
int role_keys_server(int argc, char **argv);
int role_users_key(int argc, char **argv);
int role_audit(int argc, char **argv);
int role_carrier(int argc, char **argv);
int role_backup(int argc, char **argv);
int role_setup(int argc, char **argv);
int role_create(int argc, char **argv);
int role_pull(int argc, char **argv);
int role_list(int argc, char **argv);
int role_enroll(int argc, char **argv);
