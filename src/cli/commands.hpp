#pragma once
// The rows of the command table; each is made where the command is.

#include "cli/command.hpp"

namespace warren::cli {

CommandSpec up_command();           // command_up.cpp
CommandSpec status_command();       // command_status.cpp
CommandSpec id_command();           //
CommandSpec peers_command();        // command_peers.cpp
CommandSpec connect_command();      //
CommandSpec disconnect_command();   //
CommandSpec ping_command();         // command_measure.cpp
CommandSpec perf_command();         //
CommandSpec share_command();        // command_shares.cpp
CommandSpec shares_command();       //
CommandSpec unshare_command();      //
CommandSpec verify_command();       //
CommandSpec library_command();      // command_library.cpp
CommandSpec catalog_command();      // command_catalog.cpp
CommandSpec topics_command();       //
CommandSpec subscribe_command();    //
CommandSpec unsubscribe_command();  //
CommandSpec sync_command();         // command_sync.cpp
CommandSpec get_command();          // command_get.cpp
CommandSpec install_command();      // command_install.cpp
CommandSpec update_command();       //
CommandSpec uninstall_command();    //
CommandSpec transfers_command();    // command_transfers.cpp
CommandSpec pause_command();        //
CommandSpec resume_command();       //
CommandSpec cancel_command();       //
CommandSpec config_command();       // command_config.cpp
CommandSpec discover_command();     // command_discover.cpp
CommandSpec doctor_command();       // command_doctor.cpp
CommandSpec interop_command();      // command_interop.cpp

}  // namespace warren::cli
